"""Cuts what a client sends into statements: several separated by semicolons, and BEGIN … END blocks without control
flow, which is all that tasks need here."""

import re

from sqlglot import tokens
from sqlglot.dialects.snowflake import Snowflake

TRANSACTION = {"TRANSACTION", "WORK", "NAME", ""}


def split(text):
    """The statements, without semicolons. A scripting block is one statement."""
    found, start, depth = [], None, 0
    listed = Snowflake().tokenize(text)
    for number, token in enumerate(listed):
        following = listed[number + 1].text.upper() if number + 1 < len(listed) else ""
        word = token.text.upper() if token.token_type not in (tokens.TokenType.STRING, tokens.TokenType.RAW_STRING) else ""
        if start is None:
            if token.token_type == tokens.TokenType.SEMICOLON:
                continue
            start = token.start
        if word == "BEGIN" and following not in TRANSACTION | {";"}:
            depth += 1
        elif word == "CASE" and depth:
            depth += 1
        elif word == "END" and depth:
            depth -= 1
        if token.token_type == tokens.TokenType.SEMICOLON and not depth:
            found.append(text[start : token.start].strip())
            start = None
    if start is not None:
        found.append(text[start:].strip())
    return [statement for statement in found if statement]


def block(statement):
    """The statements of a BEGIN … END block or of EXECUTE IMMEDIATE $$…$$; None for anything else."""
    if match := re.fullmatch(r"EXECUTE\s+IMMEDIATE\s+\$\$(.*)\$\$", statement, re.IGNORECASE | re.DOTALL):
        inside = split(match[1])
        return block(inside[0]) or inside if len(inside) == 1 else inside
    match = re.fullmatch(r"BEGIN\s+(?!TRANSACTION\b|WORK\b|NAME\b)(.*)\bEND", statement, re.IGNORECASE | re.DOTALL)
    return split(match[1]) if match else None
