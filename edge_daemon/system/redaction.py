"""Redaction of passwords, tokens, keys and account names in text and plain data.

The rules leave out too much rather than too little.
"""

from __future__ import annotations

import re

LEFT_OUT = "(left out)"

_LONG_NAME = (
    r"(?:passw(?:or)?d|passphrase|passcode|pwd|token|secret|credentials|username|api[_-]?key|private[_-]?key)"
    r"[\w-]{0,30}"
)
"""Anywhere in a name, as in `mqtt_password2`."""
_SHORT_NAME = (
    r"(?<![^\W_])(?:pass|pw|key|psk|user|usr|login|auth|sig|signature|cookie|session|bearer)(?:[_-]\w{1,30})?"
)
"""A word of a name, as in `fleet.key_2`, but not in `keyboard`."""
_NAME = rf"(?:{_LONG_NAME}|{_SHORT_NAME})(?<!_file)(?<!_path)"
"""A name with such an end is a path; the file's content is never part of the settings."""
_QUOTED = r"\"(?:[^\"\\]|\\.)*\"?|'(?:[^'\\]|\\.)*'?"
_BEFORE_VALUE = (
    rf"{_NAME}[\"']?\s*=\s*",  # name=value, 'name' = value, ?name=value
    rf"(?<!/){_NAME}[\"']?\s*:\s*",  # name: value, "name": "value", but not /etc/token: ...
    rf"--[\w.-]{{0,30}}?{_NAME}\s+",  # --name value
)

_RULES = [
    (r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*-----|\Z)", LEFT_OUT),
    # scheme://user:password@, up to the line's last @: a password may hold any character, spaces included
    (r"(?i)\b([a-z][a-z0-9+.-]*://).*@", rf"\1{LEFT_OUT}@"),
    # user:password@host
    (r"(?<![^\s\"'(=<])[^\s:/@\"'(=<]+:[^\s/@][^\s@]*@(?=[\w\[])", f"{LEFT_OUT}@"),
    (r"(?i)\b((?:proxy-)?authorization|(?:set-)?cookie)([\"']?\s*[=:]).*", rf"\1\2 {LEFT_OUT}"),
    (r"(?i)\b(bearer|basic|digest)\s+[\w.~+/=-]{6,}", rf"\1 {LEFT_OUT}"),
    (rf"(?i)({'|'.join(_BEFORE_VALUE)})(?!\(left out\))(?:{_QUOTED}|[^\s&,;]+)", rf"\1{LEFT_OUT}"),
    # the password "value", the token is 'value'
    (rf"(?i)({_LONG_NAME}(?<!_file)(?<!_path)\s+(?:is\s+)?)(?:{_QUOTED})", rf"\1{LEFT_OUT}"),
    # without a name: a JSON web token, a key in hexadecimal or base64
    (r"\beyJ[\w-]{8,}(?:\.[\w-]+)*", LEFT_OUT),
    (r"(?i)\b[0-9a-f]{32,}\b", LEFT_OUT),
    (r"(?<![\w/])(?=[\w+=-]*[a-z])(?=[\w+=-]*[A-Z])(?=[\w+=-]*[0-9])[\w+-]{32,}={0,2}", LEFT_OUT),
]
_COMPILED = [(re.compile(pattern), replacement) for pattern, replacement in _RULES]
_SUSPICIOUS = re.compile(
    rf"(?i)@|://|-----|{_LONG_NAME}|{_SHORT_NAME}|bearer|basic|digest|cookie|[\w+/=-]{{32}}|eyJ"
)
"""Finds lines that a rule may match: most lines cost one search."""
_SECRET_KEY = re.compile(rf"(?:.*[_.-])?{_NAME}|.*{_LONG_NAME}(?<!_file)(?<!_path)", re.IGNORECASE)


def redact(text: str) -> str:
    """Return text in which secrets are left out; redacting it again changes nothing."""
    if _SUSPICIOUS.search(text):
        for pattern, replacement in _COMPILED:
            text = pattern.sub(replacement, text)
    return text


def redact_data(data: object) -> object:
    """Return plain data in which the values of secret keys and the secrets in all text are left out."""
    if isinstance(data, dict):
        return {key: _redact_value(str(key), value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [redact_data(each) for each in data]
    return redact(data) if isinstance(data, str) else data


def _redact_value(key: str, value: object) -> object:
    secret = _SECRET_KEY.fullmatch(key) and value is not None
    return LEFT_OUT if secret else redact_data(value)
