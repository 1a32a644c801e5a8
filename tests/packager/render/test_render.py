"""Templates are strict both ways, and no text can break out of its quotes."""

import tomllib

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from coldpress._resources import template_root
from coldpress.errors import TemplateError
from coldpress.render.template import Template, quote, slug, write_files


@pytest.fixture
def template(tmp_path):
    def make(text, **values):
        (tmp_path / "file.yaml").write_text(text)
        return Template(tmp_path, values)

    return make


def test_holes_are_filled_and_everything_else_stays(template):
    text = "a: @{one}\nb: --data @request.json $X ${Y} {{resolve}} me@example.com @@\n"
    assert template(text, one="1").fill("file.yaml") == text.replace("@{one}", "1")


def test_a_hole_without_a_value_is_named(template):
    with pytest.raises(TemplateError, match=r"file\.yaml has a hole @\{two\}"):
        template("@{one} @{two}", one="1").fill("file.yaml")


def test_a_value_without_a_hole_is_named(template):
    filled = template("@{one}", one="1", two="2")
    filled.fill("file.yaml")
    with pytest.raises(TemplateError, match="there is a value two and no hole for it"):
        filled.close()


def test_a_piece_without_a_hole_is_named(template):
    with pytest.raises(TemplateError, match="there is a value two and no hole for it"):
        template("@{one}", one="1").fill("file.yaml", two="2")


@pytest.mark.parametrize("text", ["@{", "@{}", "@{One}", "@{one", "@{one two}", "@{1}"])
def test_what_opens_no_hole_is_an_error(template, text):
    with pytest.raises(TemplateError, match="opens no hole"):
        template(text, one="1").fill("file.yaml")


def test_a_line_that_is_an_empty_hole_goes_away(template):
    assert template("a\n@{one}\nb@{one}c\n", one="").fill("file.yaml") == "a\nbc\n"


def test_a_value_that_looks_like_a_hole_is_not_one(template):
    assert template("@{one}", one="@{two}").fill("file.yaml") == "@{two}"


def test_a_missing_template_says_what_to_do(tmp_path):
    with pytest.raises(TemplateError, match=r"cannot read the template gone\.yaml: .*; reinstall coldpress"):
        Template(tmp_path, {}).fill("gone.yaml")


@given(st.text().filter(lambda text: "{{resolve:" not in text))
def test_a_quoted_text_reads_back_in_yaml_and_toml(text):
    assert yaml.safe_load(f"key: {quote(text)}") == {"key": text}
    assert tomllib.loads(f"key = {quote(text)}") == {"key": text}


def test_a_quoted_text_cannot_make_cloudformation_look_something_up():
    with pytest.raises(TemplateError, match="leave it out"):
        quote("a {{resolve:ssm:secret}}")


@given(st.text())
def test_a_slug_names_a_stack(text):
    made = slug(text)
    assert made
    assert len(made) <= 100
    assert made.strip("-") == made
    assert made.replace("-", "a").isalnum()
    assert made.isascii()


def test_files_are_written_whole_with_their_folders(tmp_path):
    write_files({"a.txt": "old\n"}, tmp_path)
    paths = write_files({"a.txt": "new\n", "b/c.txt": "ü\n"}, tmp_path)
    assert [path.read_bytes() for path in paths] == [b"new\n", "ü\n".encode()]
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.txt", "b", "c.txt"]


def test_the_templates_are_found():
    assert (template_root() / "aws" / "template.yaml").is_file()
