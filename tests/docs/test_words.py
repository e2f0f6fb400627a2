"""Phrases that are hard to understand stay out of the package and its documentation."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PATHS = [
    *(path for path in sorted(ROOT.glob("*.md"))),
    *(path for path in sorted((ROOT / ".github").rglob("*.md"))),
    *(
        path
        for path in sorted((ROOT / "benchmarks").rglob("*"))
        if path.suffix in {".c", ".md", ".py"}
    ),
    *(path for path in sorted((ROOT / "ccv2_async").rglob("*.py"))),
    *(path for path in sorted((ROOT / "docs").rglob("*.md")) if "_build" not in path.parts),
    *(path for path in sorted((ROOT / "docs").rglob("*.rst")) if "_build" not in path.parts),
    *(path for path in sorted((ROOT / "examples").rglob("*.[mp][dy]"))),
]
TEXTS = {path.relative_to(ROOT): path.read_text("utf-8") for path in PATHS}
ODD = {
    r"Nothing, when": "Validate ...",
    r"(?-i:is none:)": "Invalid ...: expected ...",
    r"such as it takes": "valid",
    r"\b(by|at) whatever\b": "in any way, at any time",
    r"\banew\b": "again, start over",
    r"\b(tell|tells|told) of\b": "report, call with, notify about",
    r"who waits\b": "waiter",
    r"\b(is|are) no \w+ of workers\b": "is not a worker ...",
    r"(?<!there.)\b(is|are) no (number|id|poller|token)\b": "is not a ...",
    r"\bbef(all|ell)": "happen to, concern",
    r"\b(as ever|for ever|in vain|save for|once at most|for want of)\b": (
        "as before, forever, without success, except for, at most once, without"
    ),
    r"\b(speaks? of|the likes of|of themselves|what is no)\b": "say plainly",
    r"\bcome to an end\b": "end",
    r"\bat work on\b": "processing",
    r"\bwhoever\b": "the one who, anyone who",
    r"\b(there|where|here)(by|of|in|upon)\b": "with it, of it, in it",
    r"\b(farewell|namesakes?)\b": "close, a file of the same name",
    r"\bwhatever (its?|the|they)\b": "with any ..., regardless of the ..., anything",
    r"\b(upload|work|others|jobs?|call|sandbox) go(es)? on\b": "continue",
    r"\bwhere (the calls|status requests) go\b": "Sends the calls",
    r"\b(let go of|refused to be asked|last changed first|an answer that was none)\b": (
        "release, refused the request, most recently changed first, a failed look"
    ),
    r"\b(come|comes|came) to (its|their) end\b": "end",
    r"\b(hand|hands|handed) out\b": "put into the queue, dispatch",
    r"\b(for so long|any longer|stands? in line|in good order)\b": (
        "for this long, anymore, is queued, cleanly"
    ),
    r"\bis no (array|evidence|guide|iterable|news|reason|url|upload)\b": "is not a ...",
    r"\b(not one|the URL is not one) of Redis\b": "not a Redis URL",
    r"\b(lost|early|unreadable|wrong) answers?\b": "response, which is the word of the field",
    r"\banswers? (was|were|is|are|got) lost\b": "the response was lost",
    r", also (in|one|those|while|when|if|after|from|for|what)\b": "including, even",
    r"\b(is|are|in|not|already|files) in step\b": "in sync",
    r"\bat the service\b": "on the server, in the library",
    r"\bwhat (becomes|became) of\b": "the outcome of",
    r"\bthe (most|least) (seconds|bytes|rows|characters|files|calls|contacts|records)\b": (
        "the maximum number of"
    ),
    r"\btime-outs?\b": "timeout",
    r"\bunasked\b": "unrequested",
    r"\d %(?!\w|s)": "no space before the percent sign",
    r"\b\d calls a file\b": "calls per file",
    r"\blike a local one\b": "match a local one",
    r"\b(short|random|several) texts?(?!\w| file)": "string",
    r"\b(any more|half way|one after the other|in all(?=[.;,]))\b(?! there)": (
        "anymore, halfway, one after another, in total"
    ),
    r"\b(takes?|taken) (it|them|that data|this|one|two of them) for\b": "mistake for",
    r"\bby its token\b": "with its token",
    r"\bthe time was up\b": "the time ran out",
    r"\bnothing of (it|its|the|this) (is|was|were|has)\b": "none of it is",
    r"\b(keeps?|imports?) nothing of (it|the|this)\b": "keeps none of it, imports nothing from",
    r"\bOnly what happened\b": "Only rows since",
    r"\bcounts? for the (quota|deadline)\b": "count toward the ...",
    r"\b(clients?|objects|exceptions) of httpx2?\b": "httpx clients, objects, exceptions",
    r"\bones included\b": "including",
    r"\banother (\w+ )?\w+ than\b": "a different ... than, a ... other than",
    r"\b(is|are|was|were) asked for again\b": "is requested again, the client asks for it again",
    r"\bis reported to (\w+ )+since\b": "has reportedly done ... since",
    r"\bset-up\b": "setup",
    r"\bwhat JSON can\b": "a value that JSON can",
    r": one begins with\b": "a ... begins with",
    r"(?-i:(?<!ied.)\be-mail\b)": "email",
    r"\b(colour\w*|centre[sd]?|licence)\b": "the American spelling",
    r"\b(behaviour|(synchron|summar|recogn|normal|serial|initial)is(e|ed|es|ing|ation))\b": (
        "the American spelling"
    ),
}
"""Patterns, and what to write instead."""


@pytest.mark.parametrize("pattern", ODD)
def test_no_text_contains_a_banned_phrase(pattern: str) -> None:
    odd = re.compile(pattern.replace(" ", r"\s+(?:#\s+)?"), re.IGNORECASE)
    found = [
        f"{path}:{text.count(chr(10), 0, match.start()) + 1}: {match[0]!r}"
        for path, text in TEXTS.items()
        for match in odd.finditer(text)
    ]
    assert found == [], f"write instead: {ODD[pattern]}"


def test_the_glossary_has_each_word_once_and_in_order() -> None:
    page = (ROOT / "docs" / "glossary.md").read_text("utf-8")
    words = re.findall(r"^(\S.*)\n: ", page, re.MULTILINE)
    assert words
    assert words == sorted(set(words))
