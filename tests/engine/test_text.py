"""A user's text file: read as it stands, or refused with the line on which it ends to be text."""

from __future__ import annotations

import pytest

from engine.schema import UserError
from engine.text import open_text, read_text


@pytest.mark.parametrize("text", ["", "a", "\u00e4\r\nb\rc\n\u2028\n", "\U0001f441" * 700_000])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_text_is_read_as_it_stands(tmp_path, text, encoding):
    file = tmp_path / "t.txt"
    file.write_bytes(text.encode(encoding))
    assert read_text(file) == text
    with open_text(file, newline="\n") as lines:
        assert "".join(lines) == text


@pytest.mark.parametrize(
    ("data", "line", "byte"),
    [
        (b"ab\n\xff", 2, "0xff"),
        (b"x\n" * 700_000 + b"\xe4r", 700_001, "0xe4"),
        (b"\n\n" + b"y" * (1 << 20) + b"\xe2\x82", 3, "0xe2"),
        (b"\xef\xbb\xbf\n\n\xc3", 3, "0xc3"),
    ],
)
def test_the_line_that_is_no_utf_8_is_named(tmp_path, data, line, byte):
    file = tmp_path / "t.txt"
    file.write_bytes(data)
    with pytest.raises(UserError, match=rf"t\.txt: line {line}: is not UTF-8 text: byte {byte}"):
        open_text(file)


def test_what_is_no_text_file_is_refused_before_it_is_read(tmp_path):
    (tmp_path / "w.csv").write_bytes("a,b".encode("utf-16"))
    (tmp_path / "x.csv").write_bytes(b"PK\x03\x04" + bytes(60))
    for name, problem in (("w.csv", "UTF-16"), ("x.csv", "is "), ("no.csv", "no such file")):
        with pytest.raises(UserError, match=problem):
            open_text(tmp_path / name)
    with pytest.raises(UserError, match="a folder"):
        open_text(tmp_path)
