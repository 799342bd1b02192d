"""The part of a model's context that a request leaves free for the answer."""

import pytest

from presample.models.tipo.expander import Expander, Hooks
from presample.models.tipo.expansion import Request
from presample.models.tipo.options import ExpandOptions


@pytest.mark.parametrize(
    ("options", "room"),
    [
        ({"tag_length": "none", "prose_length": "long"}, 128),
        ({"tag_length": "none", "prose_length": "very_long"}, 192),
        ({"tag_length": "none", "prose_length": "very_long", "max_new_tokens": 100}, 100),
        ({"tag_length": "none", "prose_length": "very_short"}, 48),
        ({"tag_length": "none", "prose_length": "very_long", "compat": "kgen-0.3.1"}, 48),
    ],
)
def test_however_long_a_prompt_is_there_is_room_for_the_answer(tipo, options, room):
    context = tipo.language.config.context
    longest = 0
    for count in range(120, 300, 10):
        prompt = ", ".join(f"blue boat {i}" for i in range(count))
        expander = Expander(Request(prompt, options=ExpandOptions(**options)), 1, tipo, Hooks())
        (passes,), ((draft,),) = expander.plan.values(), expander.drafts
        longest = max(longest, len(expander.prompt(draft, passes[-1])))
    assert context - room - 40 < longest <= context - room
    assert len(expander.prompt(draft, passes[-1])) > 0.75 * (context - room)
