"""Texts: written, joined, filled in, chosen by chance, taken apart."""

from pathlib import Path
from typing import Annotated, Any, Literal

from nodegraph.errors import GraphError
from nodegraph.node import Advanced, File, Randomize, Range, Text, node

Lines = Annotated[str, Text(lines=4)]
Line = Annotated[str, Text()]


@node("text/value", title="Text", keywords=("string", "primitive", "prompt", "constant", "multiline"))
def text_value(text: Annotated[str, Text(lines=6, prompt=True)] = "") -> str:
    """A text, to be used in several places at once.

    Args:
        text: The text.
    """
    return text


@node("text/join", title="Join texts", keywords=("concatenate", "combine", "append", "prompt"))
def join_texts(
    first: Lines = "",
    second: Lines = "",
    third: Lines = "",
    fourth: Lines = "",
    between: Line = ", ",
    keep_empty: Annotated[bool, Advanced()] = False,
) -> str:
    r"""Set texts one after the other, for example a subject, a style and a quality.

    Args:
        first: The first text.
        second: The second text.
        third: The third text.
        fourth: The fourth text.
        between: What stands between them. \n is a new line.
        keep_empty: Count empty texts too; otherwise they leave no gap.
    """
    texts = (first, second, third, fourth)
    return between.replace("\\n", "\n").join(text for text in texts if text.strip() or keep_empty)


@node("text/join-list", title="Join list of texts", keywords=("concatenate", "combine"))
def join_list_of_texts(texts: list[str], between: Line = ", ") -> str:
    r"""Make one text of many.

    Args:
        texts: Connect as many as you like, or a list.
        between: What stands between them. \n is a new line.
    """
    return between.replace("\\n", "\n").join(texts)


@node("text/replace", title="Replace in text", keywords=("substitute", "find", "regex", "swap"))
def replace_in_text(
    text: Lines = "",
    find: Line = "",
    replacement: Line = "",
    pattern: Annotated[bool, Advanced()] = False,
    any_case: Annotated[bool, Advanced()] = False,
) -> str:
    r"""Put other words in place of some.

    Args:
        text: Where to look.
        find: What to replace, everywhere in the text.
        replacement: What to put there.
        pattern: 'find' is a regular expression; \1 in the replacement is its first group.
        any_case: Capital and small letters count alike.
    """
    import re

    if not find:
        return text
    try:
        search = re.compile(find if pattern else re.escape(find), re.IGNORECASE if any_case else 0)
        return search.sub(replacement if pattern else lambda _: replacement, text)
    except (re.error, IndexError) as error:
        raise GraphError(
            f"'{find[:60]}' or what replaces it is not a pattern: {error}. Switch 'pattern' off to look for it letter by letter.",
            input="find",
        ) from None


@node("text/extract", title="Extract from text", keywords=("regex", "find", "match", "capture"))
def extract_from_text(text: Lines = "", pattern: Line = "", group: Annotated[int, Range(0, 20)] = 0, otherwise: Line = "") -> str:
    r"""Take the first piece out of a text that fits a regular expression.

    Args:
        text: Where to look.
        pattern: For example \d+ for a number.
        group: Which pair of brackets in the pattern to take; 0 is all that fits.
        otherwise: What to give when nothing fits.
    """
    import re

    try:
        match = re.search(pattern, text)
        return otherwise if match is None else match[group] or ""
    except re.error as error:
        raise GraphError(f"'{pattern[:60]}' is not a pattern: {error}.", input="pattern") from None
    except IndexError:
        raise GraphError(f"The pattern has no pair of brackets number {group}. Choose a smaller number.", input="group") from None


@node("text/template", title="Fill in template", keywords=("format", "placeholder", "variables", "prompt"))
def fill_in_template(
    template: Annotated[str, Text(lines=4, prompt=True)] = "a photo of {a}, {b}", a: Line = "", b: Line = "", c: Line = "", d: Line = ""
) -> str:
    """Put words into the gaps of a text. Only {a}, {b}, {c} and {d} are gaps; all other braces stay as they are.

    Args:
        template: The text with its gaps.
        a: For {a}.
        b: For {b}.
        c: For {c}.
        d: For {d}.
    """
    import re

    given = {"a": a, "b": b, "c": c, "d": d}
    return re.sub(r"\{([abcd])\}", lambda match: given[match[1]], template)


@node("text/wildcards", title="Wildcards", keywords=("random", "dynamic prompts", "choice", "variations", "list"))
def wildcards(
    text: Annotated[str, Text(lines=4, prompt=True)] = "a {red|green|blue} house",
    seed: Annotated[int, Range(0, 2**64 - 1), Randomize()] = 0,
    folder: Annotated[Path | None, File("input", folders=True), Advanced()] = None,
) -> str:
    """Let chance choose words in a text.

    {red|green} takes one, {2$$oak|elm|ash} two of them, {3::fog|sun} prefers fog,
    and __animals__ takes a line of the file animals.txt. Choices may stand inside choices.

    Args:
        text: The text with its choices.
        seed: The same number makes the same choices.
        folder: Where the .txt files for __names__ are, one choice in each line.
    """
    from nodes.wildcards import read_folder, resolved

    return resolved(text, seed, read_folder(folder) if folder else {})


@node("text/variations", title="All variations", keywords=("combinatorial", "wildcards", "for each", "permutations", "dynamic prompts"))
def all_variations(
    text: Annotated[str, Text(lines=4, prompt=True)] = "a {red|green|blue} house", limit: Annotated[int, Range(1, 10_000)] = 100
) -> list[str]:
    """Every text that the choices in {a|b} allow: what follows runs once for each of them.

    Args:
        text: The text with its choices.
        limit: Refuse to make more than this.
    """
    from nodes.wildcards import variations

    return variations(text, limit)


@node("text/lines", title="Lines of text", keywords=("list", "split", "for each", "loop", "prompts"))
def lines_of_text(
    text: Annotated[str, Text(lines=8)] = "",
    start: Annotated[int, Range(0, 1_000_000), Advanced()] = 0,
    limit: Annotated[int, Range(0, 10_000), Advanced()] = 0,
) -> list[str]:
    """Each line as a text of its own: what follows runs once for each. Good for a list of prompts.

    Args:
        text: Empty lines and those that begin with # are left out.
        start: How many to leave out at the beginning.
        limit: How many to take; 0 is all.
    """
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")][start:]
    lines = lines[:limit] if limit else lines
    if not lines:
        raise GraphError("There is no line to run for. Write one text in each line.", input="text")
    return lines


@node("text/split", title="Split text", keywords=("separate", "list", "comma", "tags"))
def split_text(text: Lines = "", at: Line = ",") -> list[str]:
    r"""Take a text apart into a list: what follows runs once for each part.

    Args:
        text: Parts that are empty are left out.
        at: What stands between the parts. \n is a new line.
    """
    mark = at.replace("\\n", "\n")
    if not mark:
        raise GraphError("There is nothing to split at. Write for example a comma.", input="at")
    parts = [part.strip() for part in text.split(mark)]
    parts = [part for part in parts if part]
    if not parts:
        raise GraphError("The text is empty, so there are no parts.", input="text")
    return parts


@node("text/load", title="Load text", keywords=("file", "open", "read", "prompts", "txt"))
def load_text(file: Annotated[Path, File("input", (".txt", ".md", ".csv", ".json"))]) -> str:
    """Bring in a text from a file. 'Lines of text' makes a list of it.

    Args:
        file: In UTF-8, at most 16 MB.
    """
    from nodes.wildcards import read_text

    return read_text(file)


@node("text/clean", title="Clean text", keywords=("trim", "case", "lower", "upper", "strip", "whitespace"))
def clean_text(
    text: Lines = "", letters: Literal["as they are", "lower", "upper", "title"] = "as they are", spaces: bool = True, doubles: bool = False
) -> str:
    """Tidy a text.

    Args:
        text: The text.
        letters: Turn all letters into lower or upper case, or begin each word with a capital.
        spaces: Take away doubled spaces and those at the ends of lines.
        doubles: Of parts between commas that are there twice, keep only the first.
    """
    import re

    made = {"lower": text.lower(), "upper": text.upper(), "title": text.title()}.get(letters, text)
    if doubles:
        seen: dict[str, str] = {}
        for part in made.split(","):
            seen.setdefault(part.strip().lower(), part)
        made = ",".join(part for key, part in seen.items() if key)
    if spaces:
        made = "\n".join(re.sub(r"[ \t]+", " ", line).strip() for line in made.splitlines()).strip()
    return made


@node("text/from-value", title="Value to text", keywords=("number to string", "convert", "format", "int", "float"))
def value_to_text(value: Any, decimals: Annotated[int, Range(-1, 12)] = -1) -> str:
    """Write any value as a text, for example a number to stand in a prompt or a label.

    Args:
        value: A number, a text, on or off, or anything else.
        decimals: Of numbers, how many; -1 is as many as needed.
    """
    from nodes.logic import in_words

    if decimals >= 0 and isinstance(value, (int, float)) and not isinstance(value, bool):
        return f"{value:.{decimals}f}"
    return in_words(value)


@node("text/to-number", title="Text to number", keywords=("parse", "string to float", "convert"))
def text_to_number(text: Line = "0") -> float:
    """Read a number that is written as a text.

    Args:
        text: For example 3.5 or 1e-4.
    """
    import math

    try:
        value = float(text)
        if not math.isfinite(value) or "_" in text:
            raise ValueError
    except ValueError:
        raise GraphError(f"'{text.strip()[:60]}' is not a number. Write for example 3.5.", input="text") from None
    return value


@node("text/contains", title="Text contains", keywords=("search", "condition", "if", "includes"))
def text_contains(text: Lines = "", words: Line = "", any_case: bool = True) -> bool:
    """Say whether a text contains some words, to steer a switch.

    Args:
        text: Where to look.
        words: What to look for.
        any_case: Capital and small letters count alike.
    """
    return words.lower() in text.lower() if any_case else words in text
