"""Prompt Batch: many prompts, typed or from a text file, as a list."""

from pathlib import Path
from typing import Any

import folder_paths
from comfy_api.latest import io

from ..models.prompt.listing import SEPARATORS, list_prompts
from .compat import schema, widget

NO_FILE = "none"
MOST_BYTES = 16 * 2**20


def text_files() -> list[str]:
    """Returns the names of the text files in ComfyUI's input folder."""
    folder = Path(folder_paths.get_input_directory())
    return sorted(p.name for p in folder.glob("*.txt") if p.is_file()) if folder.is_dir() else []


def text_of(name: str) -> str:
    """Returns what is in one of `text_files`; "none" is empty. Raises ValueError for any other name."""
    if name == NO_FILE:
        return ""
    if name not in text_files():
        raise ValueError(f"file must be a .txt file in ComfyUI's input folder, got {name!r}")
    path = Path(folder_paths.get_input_directory()) / name
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"file must have at most {MOST_BYTES // 2**20} MB, {name} has more; split it")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"file must be UTF-8 text, {name} is not ({error}); save it as UTF-8") from error


class PromptBatch(io.ComfyNode):
    """Gives many prompts, one after the other."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="PresamplePromptBatch",
            display_name="Prompt Batch",
            category="presample/prompt",
            description="A list of prompts, typed or from a text file in the input folder. What comes behind"
            " runs once for each.",
            search_aliases=["prompt list", "prompts from file", "batch prompts"],
            inputs=[
                widget(
                    io.String.Input,
                    "prompts",
                    multiline=True,
                    default="",
                    optional=True,
                    tooltip="One prompt a line, or parted by blank lines.",
                ),
                widget(
                    io.Combo.Input,
                    "file",
                    options=[NO_FILE, *text_files()],
                    default=NO_FILE,
                    optional=True,
                    tooltip="A .txt file in ComfyUI's input folder; its prompts come behind those above.",
                ),
                widget(
                    io.Combo.Input,
                    "separator",
                    options=list(SEPARATORS),
                    default=SEPARATORS[0],
                    optional=True,
                    tooltip="What stands between two prompts.",
                ),
                widget(
                    io.Int.Input,
                    "start",
                    default=0,
                    min=0,
                    max=10**6,
                    optional=True,
                    tooltip="Number of the first prompt to give; 0 is the first of all.",
                ),
                widget(
                    io.Int.Input,
                    "count",
                    default=0,
                    min=0,
                    max=10**6,
                    optional=True,
                    tooltip="How many to give; 0 gives all that follow.",
                ),
            ],
            outputs=[
                io.String.Output(display_name="prompts", tooltip="The list of prompts.", is_output_list=True),
                io.Int.Output(display_name="number", tooltip="How many prompts were given."),
            ],
        )

    @classmethod
    def validate_inputs(cls, file: str | None = NO_FILE) -> bool | str:
        """A name that another node gives is None here and in the fingerprint: ComfyUI asks for it later."""
        if file in (None, NO_FILE, *text_files()):
            return True
        return f"file must be a .txt file in ComfyUI's input folder, got {file!r}"

    @classmethod
    def fingerprint_inputs(cls, file: str | None = NO_FILE, **others: Any) -> Any:
        folder = Path(folder_paths.get_input_directory())
        stamp = (folder / file).stat().st_mtime_ns if file in text_files() else 0
        return (file, stamp, *sorted((name, str(value)) for name, value in others.items()))

    @classmethod
    def execute(
        cls,
        prompts: str = "",
        file: str = NO_FILE,
        separator: str = SEPARATORS[0],
        start: int = 0,
        count: int = 0,
    ) -> io.NodeOutput:
        between = "\n" if separator == SEPARATORS[0] else "\n\n"
        text = between.join(part for part in (prompts, text_of(file)) if part)
        found = list_prompts(text, separator=separator, start=start, count=count)
        if not found:
            raise ValueError("there must be at least one prompt; write one or choose a file")
        return io.NodeOutput(found, len(found))


NODES = [PromptBatch]
