"""Expansions as the tests ask for them: short ones."""

from dataclasses import replace

from presample.models.tipo.expand import expand_many
from presample.models.tipo.expansion import Request
from presample.models.tipo.options import ExpandOptions

QUICK = ExpandOptions(tag_length="very_short", prose_length="very_short")
MIXED = "1girl, (red hair:1.2), <lora:foo:0.8>, smile BREAK a cat on a chair, __hat__"


def run(prompt, tipo, count=1, prose="", hooks=None, **options):
    request = Request(prompt, prose, replace(QUICK, **options))
    found = expand_many(request, count, tipo, **(hooks or {}))
    return found if count > 1 else found[0]


def added_tags(expansion):
    return [tag for region in expansion.regions for tags in region.added_tags.values() for tag in tags]


def added_prose(expansion):
    return [sentence for region in expansion.regions for sentence in region.added_prose]
