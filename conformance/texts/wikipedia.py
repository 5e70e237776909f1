"""The embedded text: an excerpt of English Wikipedia
===================================================

A compressed dump of some articles comes with the gensim wheel. Here it is read as data,
and its markup is stripped to plain paragraphs.
"""

import bz2
import html
import re
from collections.abc import Callable
from xml.etree import ElementTree as ET

from subbit.conformance.models.needs import wheel_file
from subbit.reference.errors import ArgumentError

DUMP = (
    "gensim",
    "test/test_data/enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2",
)

NO_ARTICLE = re.compile(r"(?i)^\s*#redirect|\{\{\s*(?:dab|disambig\w*|hndis|geodis)\s*[|}]")

# Applied in this order; each match is replaced.
RULES = [
    (r"(?s)<!--.*?-->", ""),
    (r"(?ms)^=+ *(See also|Notes|References|Further reading|External links) *=+ *$.*", ""),
    (r"<ref\b[^<>]*/>", ""),
    (r"(?s)<(ref|math|gallery|timeline|source|table)\b[^>]*>.*?</\1\s*>", ""),
    (r"</?[a-zA-Z][^<>]*>", ""),
]
NESTED: list[tuple[str, str | Callable[[re.Match[str]], str]]] = [
    (r"(?s)\{\{(?:(?!\{\{|\}\}).)*\}\}", ""),  # templates
    (r"(?s)\{\|(?:(?!\{\||\|\}).)*\|\}", ""),  # tables
    (r"\[(?:https?:|ftp:|//)[^\s\[\]]+ ?([^\[\]]*)\]", r"\1"),  # [address label]
    (r"(?s)\[\[((?:(?!\[\[|\]\]).)*)\]\]", lambda link: _label(link[1])),
]
NO_LABEL = re.compile(r"(?i)(file|image|category|[a-z]{2,3}(-[a-z]+)*):")
LAST = [
    (r"(?m)^[|!].*$", ""),  # rows of a broken table
    (r"'{2,}", ""),  # bold and italic
    (r"(?m)^[*#:;]+ *", ""),  # list items
    (r"(?m)^=+ *(.*?) *=+ *$", r"\1"),  # headings
    (r"__[A-Z]+__", ""),
    (r"[ \t\xa0]+", " "),
    (r"(?m)^ | $", ""),
    (r"\n{3,}", "\n\n"),
]


def strip_markup(text: str) -> str:
    """Return the plain text of a Wikipedia article.

    Parameters
    ----------
    text : str
        Wiki markup.

    Returns
    -------
    str
        Paragraphs, headings and list items; templates, tables, references, files and
        categories are dropped, links become their labels.

    Examples
    --------
    >>> strip_markup("'''Ann''' {{born|{{year}}}} met [[Bob (singer)|Bob]].<ref>A.</ref>")
    'Ann met Bob.'
    """
    text = html.unescape(text)
    for pattern, replacement in RULES:
        text = re.sub(pattern, replacement, text)
    for pattern, label in NESTED:  # innermost pairs first, until none is left
        before = None
        while before != text:
            before, text = text, re.sub(pattern, label, text)
    for pattern, replacement in LAST:
        text = re.sub(pattern, replacement, text)
    return text.strip()


def _label(link: str) -> str:
    """Return the visible text of ``target|label`` or ``target``."""
    return "" if NO_LABEL.match(link) else link.rpartition("|")[2]


def excerpt(argument: str = "text") -> list[str]:
    """Return the articles of the embedded excerpt as plain text.

    Parameters
    ----------
    argument : str, default "text"
        The argument that made it necessary, for errors.

    Returns
    -------
    list of str
        Articles in the order of the dump, each starting with its title.

    Raises
    ------
    ArgumentError
        If the wheel is not installed, or its file is damaged.
    """
    path = wheel_file(*DUMP, argument=argument)
    articles = []
    try:
        with bz2.open(path) as dump:
            # The file comes from a pinned wheel, not from a stranger.
            for _, page in ET.iterparse(dump):  # noqa: S314
                if page.tag.endswith("}page"):
                    articles.append(_article(page))
                    page.clear()
    except (OSError, EOFError, ET.ParseError) as error:
        raise ArgumentError(argument, "a readable dump", f"{path} ({error})") from error
    return [article for article in articles if article]


def _article(page: ET.Element) -> str:
    found = {field: page.findtext(f".//{{*}}{field}") or "" for field in ("title", "ns", "text")}
    if found["ns"] != "0" or NO_ARTICLE.search(found["text"]):
        return ""
    return f"{found['title']}\n\n{strip_markup(found['text'])}"
