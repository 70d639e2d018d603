# ruff: noqa: RUF001  # what looks alike is what is tested
"""Characters as Unicode has them: what makes a title, what is one line, and what a search takes for the same."""

import json
import re
import subprocess
import unicodedata
from functools import cache
from pathlib import Path
from urllib.parse import quote

import jsonschema_rs
import pytest
import regex

from tests.support.client import Client
from tests.support.credentials import PASSWORD
from tests.support.programs import program
from tests.support.rows import rows
from tests.support.tasks import create, path
from todo_api import contract
from todo_api.domains import BLANK, LINE_ENDS

TASKS = "/api/v1/me/tasks"
SCHEMAS = contract.load(contract.TASK_API)["components"]["schemas"]
ONE_LINE = {name for name, schema in SCHEMAS.items() if "It is one line" in schema.get("description", "")} - {
    "LabelName"
}
"""The schemas of texts of one line that clients send."""

ENDS = {*map(chr, range(0x20)), *map(chr, range(0x7F, 0xA0)), "\u2028", "\u2029"}


@cache  # not when the module is imported, which each process of a run does
def characters() -> list[str]:
    """Every character that a text may have."""
    return [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]


@cache
def blanks() -> set[str]:
    """Those by the Unicode database of the library `regex`, which Python's own does not have."""
    found = regex.findall(r"[\p{Default_Ignorable_Code_Point}\p{White_Space}]", "".join(characters()))
    return ENDS | {*found}


def patterns() -> set[str]:
    return {SCHEMAS[name]["pattern"] for name in ONE_LINE}


def test_contract_has_one_pattern_for_texts_of_one_line() -> None:
    assert {"TaskTitle", "KeyName", "LinkTitle", "NewPersonName", "PersonName", "ProjectName"} == ONE_LINE
    assert len(patterns()) == 1


def test_contract_has_the_same_pattern_for_names_of_labels_without_comma_and_steps_of_a_path() -> None:
    (pattern,) = patterns()
    assert SCHEMAS["LabelName"]["pattern"] == pattern.replace("^(?!", r"^(?!\.{1,2}$)(?!", 1).replace("[^", "[^,")


def test_pattern_of_contract_takes_what_unicode_calls_visible_in_python_and_rust() -> None:
    (pattern,) = patterns()
    python, rust = re.compile(pattern), jsonschema_rs.Draft4Validator({"pattern": pattern})
    for character in characters():
        alone, between = character not in blanks(), character not in ENDS
        assert (python.search(character) is not None, rust.is_valid(character)) == (alone, alone), hex(ord(character))
        text = f"a{character}b"
        assert (python.search(text) is not None, rust.is_valid(text)) == (between, between), hex(ord(character))


def test_pattern_of_contract_takes_the_same_in_javascript() -> None:
    (pattern,) = patterns()
    script = """
        const pattern = new RegExp(JSON.parse(require('fs').readFileSync(0, 'utf8')), 'u'), taken = [];
        for (let code = 0; code < 0x110000; code++)
            if ((code < 0xd800 || code > 0xdfff) && !pattern.test(String.fromCodePoint(code))) taken.push(code);
        console.log(JSON.stringify(taken));
    """
    done = subprocess.run(
        [program("node"), "-e", script], input=json.dumps(pattern), capture_output=True, text=True, check=True
    )
    assert {chr(code) for code in json.loads(done.stdout)} == blanks()


def test_pattern_of_contract_takes_the_same_in_javascript_without_its_flag_as_far_as_one_unit_is_a_character() -> None:
    """Generated clients and validators compile patterns without it; characters beyond U+FFFF are two units there."""
    (pattern,) = patterns()
    script = """
        const pattern = new RegExp(JSON.parse(require('fs').readFileSync(0, 'utf8'))), taken = [];
        for (let code = 0; code < 0x10000; code++)
            if ((code < 0xd800 || code > 0xdfff) && !pattern.test(String.fromCharCode(code))) taken.push(code);
        if (!pattern.test(String.fromCodePoint(0x1f600)) || pattern.test(String.fromCodePoint(0x1d173))) taken.push(-1);
        console.log(JSON.stringify(taken));
    """
    done = subprocess.run(
        [program("node"), "-e", script], input=json.dumps(pattern), capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == sorted(ord(character) for character in blanks() if character < "\U00010000")


def test_rules_of_the_database_are_those_of_the_contract(url: str) -> None:
    asked = f"""
        SELECT array_agg(code) FILTER (WHERE chr(code) !~ '[^{BLANK}]'),
            array_agg(code) FILTER (WHERE chr(code) ~ '[{LINE_ENDS}]')
        FROM generate_series(1, 1114111) code WHERE code NOT BETWEEN 55296 AND 57343
    """
    ((blank, ends),) = rows(url, asked)
    assert {chr(code) for code in blank} == blanks() - {"\0"}
    assert {chr(code) for code in ends} == ENDS - {"\0"}
    used = rows(
        url,
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conname ~ '^(task_title|.*_name)_check'",
    )
    assert [name for name, rule in used if BLANK not in rule or LINE_ENDS not in rule] == []
    assert len(used) == 5


INVISIBLE = {
    "Hangul filler": "\u3164",
    "combining grapheme joiner": "\u034f",
    "variation selector": "\ufe0f",
    "tags": "\U000e0041\U000e007f",
    "reserved, ignorable": "\U000e0fff",
    "musical begin beam": "\U0001d173",
    "blanks of every width": " \u00a0\u2003\u3000\u205f",
    "line separator": "Buy\u2028milk",
    "paragraph separator": "Buy milk\u2029",
    "next line": "Buy\u0085milk",
}
VISIBLE = {
    "braille blank": "\u2800",
    "combining mark": "\u0301",
    "private use": "\ue000",
    "not assigned": "\U0003ffff",
    "emoji of several": "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "Arabic number sign": "\u0600",
    "Mongolian with its separator": "\u1820\u180e",
}


@pytest.mark.parametrize("text", INVISIBLE.values(), ids=INVISIBLE)
def test_text_of_one_line_without_a_visible_character_or_with_two_lines_is_refused(ada: Client, text: str) -> None:
    task = create(ada)
    refused = [
        ada.post(TASKS, {"title": text}),
        ada.put(path(task), {"title": text}),
        ada.patch(path(task), {"title": text}),
        ada.post(TASKS, {"title": "a", "links": [{"url": "https://a.example", "title": text}]}),
        ada.post("/api/v1/me/projects", {"name": text}),
        ada.patch("/api/v1/me/account", {"name": text}),
        ada.post("/api/v1/me/keys", {"name": text, "scopes": ["tasks:read"]}),
        ada.post("/api/v1/auth/register", {"email": "a@example.com", "password": PASSWORD, "name": text}),
    ]
    assert [(reply.status, reply.json()["errors"][0]["code"]) for reply in refused] == [(400, "pattern")] * 8


@pytest.mark.parametrize("text", VISIBLE.values(), ids=VISIBLE)
def test_text_of_one_line_that_shows_something_is_taken(ada: Client, text: str) -> None:
    assert create(ada, text)["title"] == text
    assert ada.patch("/api/v1/me/account", {"name": text}).json()["name"] == text


def test_task_whose_title_breaks_the_rule_of_today_is_read_changed_and_deleted(url: str, ada: Client) -> None:
    task = create(ada)
    rule = "CHECK (char_length(VALUE) <= 255) NOT VALID"
    ((kept,),) = rows(url, "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'task_title_check'")
    alter = "ALTER DOMAIN task_title DROP CONSTRAINT task_title_check, ADD CONSTRAINT task_title_check"
    drop, add = alter.split(", ")
    rows(url, drop)
    rows(url, f"ALTER DOMAIN task_title {add} {rule}")
    rows(url, f"UPDATE tasks SET title = E'\\u3164\\u2028' WHERE id = '{task['id']}' RETURNING 1")
    rows(url, drop)
    rows(url, f"ALTER DOMAIN task_title {add} {kept}")
    assert ada.get(path(task)).json()["title"] == "\u3164\u2028"
    assert ada.patch(path(task), {"description": "ä"}).status == 200
    assert ada.patch(f"{path(task)}/complete").json()["completed"] is True
    assert ada.get(f"{TASKS}?q=%C3%A4").json()["total"] == 1
    assert ada.delete(path(task)).status == 204


def fold(text: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", text).casefold())


def test_fold_case_folds_every_character_as_unicode_does(url: str) -> None:
    """Compared with Python's own database, whose version is older: the folding of what it has is stable (Unicode, 3.13)."""
    known = [character for character in characters()[1:] if unicodedata.category(character) != "Cn"]
    beside = [*filter(_changes_beside_others, known), *known[::50]]
    for form in ("{}", "{}\u0345", "\u0391\u0345{}", "{}\u0308\u0301", "e\u0301{}b"):
        texts = [form.format(character) for character in (known if form == "{}" else beside)]
        given = rows(url, f"SELECT fold_case(text) FROM (VALUES {', '.join(map(_literal, texts))}) AS given (text)")
        wrong = [ascii(text) for text, (folded,) in zip(texts, given, strict=True) if folded != fold(text)]
        assert wrong == []


@cache
def apart() -> dict[str, str]:
    """Return the characters that are composed of others, and what of."""
    found = {one: unicodedata.normalize("NFD", one) for one in characters()}
    return {one: parts for one, parts in found.items() if parts != one}


@cache
def parts() -> set[str]:
    """Return what characters are composed of."""
    return set("".join(apart().values()))


def _changes_beside_others(character: str) -> bool:
    """Tell whether folding may do anything with the character: compose it, take it apart, move it, or fold its case."""
    folds = character.casefold() != character
    return folds or character in apart() or character in parts() or bool(unicodedata.combining(character))


def _literal(text: str) -> str:
    escaped = "".join(f"\\U{ord(character):08x}" for character in text)
    return f"(E'{escaped}')"


ALIKE = {
    "sharp s": ("Straße", "STRASSE"),
    "capital sharp s": ("STRAẞE", "strasse"),
    "dotted capital i": ("İstanbul", "i\u0307STANBUL"),
    "dotless i is another letter": ("ısı", "ISI"),
    "final sigma": ("ὈΔΥΣΣΕΎΣ", "ὀδυσσεύς"),
    "sigma in the middle": ("οδός", "ΟΔΌΣ"),
    "iota below": ("ᾠδή", "ὨΙΔΉ"),
    "decomposed": ("Cafe\u0301", "CAFÉ"),
    "composed": ("Ångström", "a\u030angstro\u0308m"),
    "order of marks": ("a\u0323\u0307", "A\u0307\u0323"),
    "Vietnamese": ("Việt Nam".replace(" ", "_"), "VIỆT_NAM"),
    "ligature": ("ﬁnal", "FINAL"),
    "Cyrillic": ("Ёлка", "ЁЛКА"),
    "Cyrillic decomposed": ("И\u0306од", "йод"),
    "Armenian": ("Երևան", "ԵՐԵՒԱՆ"),
    "Georgian": ("ᲗᲑᲘᲚᲘᲡᲘ", "თბილისი"),
    "Cherokee": ("ᏣᎳᎩ", "ꮳꮃꭹ"),
    "Deseret": ("𐐔𐐯", "𐐼𐐯"),
    "Adlam": ("𞤀𞤁", "𞤢𞤣"),
    "Kelvin": ("5K", "5k"),
    "full width": ("ＭＩＬＫ", "ｍｉｌｋ"),
    "Hangul": ("\u1112\u1161\u11ab", "한"),
}
DIFFERENT = {"dotless i is another letter"}


@pytest.mark.parametrize("name", ALIKE)
@pytest.mark.parametrize("field", ["title", "description"])
def test_list_tasks_search_finds_what_unicode_takes_for_the_same(ada: Client, name: str, field: str) -> None:
    one, other = ALIKE[name]
    for stored, sought in ((one, other), (other, one)):
        task = create(ada, **{"title": "x", field: f"~{stored}~"})
        found = ada.get(f"{TASKS}?q={quote(sought)}").json()
        assert (found["total"], len(found["items"])) == ((0, 0) if name in DIFFERENT else (1, 1))
        ada.delete(path(task))


def test_list_tasks_search_follows_every_change_of_a_text(ada: Client) -> None:
    task = create(ada, "ÄPFEL", description="БАНАНЫ")
    sought = lambda word: ada.get(f"{TASKS}?q={quote(word)}").json()["total"]  # noqa: E731  # a word for this test alone
    assert (sought("äpfel"), sought("бананы")) == (1, 1)
    ada.patch(path(task), {"title": "Milk"})
    assert (sought("äpfel"), sought("milk"), sought("бананы")) == (0, 1, 1)
    ada.put(path(task), {"title": "ÖL"})
    assert (sought("öl"), sought("milk"), sought("бананы")) == (1, 0, 0)


def test_list_tasks_search_finds_what_the_previous_release_writes(url: str, ada: Client) -> None:
    """It writes no folded text, and knows of none."""
    user_id = create(ada, "ÄPFEL", description="БАНАНЫ")["user_id"]
    rows(url, f"UPDATE tasks SET title = 'ÖL' WHERE user_id = '{user_id}' RETURNING 1")
    assert ada.get(f"{TASKS}?q=%C3%B6l").json()["total"] == 1
    assert ada.get(f"{TASKS}?q=%C3%A4pfel").json()["total"] == 0
    assert ada.get(f"{TASKS}?q={quote('öl бананы')}").json()["total"] == 1


@pytest.mark.parametrize("words", [8, 9])
def test_list_tasks_search_takes_eight_words(ada: Client, words: int) -> None:
    create(ada, "a b c d e f g h i")
    reply = ada.get(f"{TASKS}?q={'+'.join('abcdefghi'[:words])}")
    if words == 8:
        assert reply.json()["total"] == 1
    else:
        errors = reply.json()["errors"]
        assert [(error["pointer"], error["code"]) for error in errors] == [("/q", "too_many")]


def test_list_tasks_search_counts_words_between_any_blanks(ada: Client) -> None:
    words = quote("\u3000".join("abcdefghi"))
    assert ada.get(f"{TASKS}?q={words}").code == "validation_failed"
    assert ada.get(f"{TASKS}?q={'+' * 100}a").status == 200


def test_case_folding_ships_with_the_migrations() -> None:
    mappings = json.loads((Path(contract.shipped("migrations")) / "case_folding_17_0_0.json").read_text("utf-8"))
    known = {c: c.casefold() for c in characters() if unicodedata.category(c) != "Cn" and c.casefold() != c}
    assert {c: folded for c, folded in mappings.items() if unicodedata.category(c) != "Cn"} == known
