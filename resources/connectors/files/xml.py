"""Records out of XML files, element by element, so that memory stays flat."""

from collections.abc import Iterator, Mapping
from typing import IO, Any
from xml.etree.ElementTree import ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import XMLParser

from resources.connectors.files.spec import BadFile, FileSpec, Record
from resources.host.text import dump_payload

CHUNK = 1 << 16


class _Element:
    __slots__ = ("attributes", "children", "name", "start", "text")

    def __init__(self, name: str, attributes: Mapping[str, str], start: int) -> None:
        self.name = name
        self.attributes = {_local(key): value for key, value in attributes.items()}
        self.children: list[_Element] = []
        self.text: list[str] = []
        self.start = start


def _local(tag: str) -> str:
    """A name without its namespace."""
    return tag.rpartition("}")[2]


class _Rows:
    """What the parser tells of the elements on the row's path; all else is let go, so that memory stays flat."""

    def __init__(self, spec: FileSpec) -> None:
        self.steps = (spec.row or "").strip("/").split("/")
        self.depth = 0
        self.on_path = 0  # how many of the open elements follow the path
        self.stack: list[_Element] = []
        self.done: list[tuple[_Element, int]] = []
        self.parser: Any = None

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        name = _local(tag)
        self.depth += 1
        if self.depth == 1 and name != self.steps[0]:
            raise BadFile(f"the root element is <{name}> where the map expects <{self.steps[0]}>")
        if self.stack:
            child = _Element(name, attributes, 0)
            self.stack[-1].children.append(child)
            self.stack.append(child)
        elif self.on_path == self.depth - 1 and self.depth <= len(self.steps) and name == self.steps[self.depth - 1]:
            self.on_path = self.depth
            if self.depth == len(self.steps):
                self.stack.append(_Element(name, attributes, self.parser.CurrentByteIndex))

    def data(self, text: str) -> None:
        if self.stack:
            self.stack[-1].text.append(text)

    def end(self, tag: str) -> None:
        if self.stack:
            element = self.stack.pop()
            if not self.stack:
                self.done.append((element, self.parser.CurrentByteIndex))
        self.depth -= 1
        self.on_path = min(self.on_path, self.depth)

    def close(self) -> None:
        pass


class _Nothing:
    """A target that wants to hear nothing: parsing for well-formedness alone, at the speed of C."""

    def close(self) -> None:
        pass


def read_xml(spec: FileSpec, file: IO[bytes]) -> Iterator[Record]:
    for _ in _parsed(file, XMLParser(target=_Nothing())):
        pass
    rows = _Rows(spec)
    parser = XMLParser(target=rows)
    rows.parser = parser.parser
    number = 0
    for _ in _parsed(file, parser):
        done, rows.done = rows.done, []
        for element, end in done:
            number += 1
            yield Record(number, dump_payload(_say_element(element, spec.lists)), _slice(file, element.start, end))


def _parsed(file: IO[bytes], parser: Any) -> Iterator[None]:
    """Feed the file to the parser; a pause after each chunk. Raises BadFile."""
    position, chunk = 0, b"-"
    try:
        while chunk:
            file.seek(position)
            chunk = file.read(CHUNK)
            position += len(chunk)
            if chunk:
                parser.feed(chunk)
                yield
        parser.close()
    except ParseError as error:
        raise BadFile(f"the XML is malformed: {error}") from None
    except DefusedXmlException as error:
        raise BadFile(f"the XML declares entities, which are refused: {type(error).__name__}") from None
    except (LookupError, ValueError) as error:  # an encoding that expat does not speak
        raise BadFile(f"the XML cannot be read: {error}") from None


def _slice(file: IO[bytes], start: int, end: int) -> bytes:
    """The bytes of an element, from the start of its first tag to the end of its last one, which begins at `end`."""
    file.seek(start)
    raw = file.read(end - start)
    while b">" not in (chunk := file.read(256)):
        if not chunk:
            return raw
        raw += chunk
    return raw + chunk[: chunk.index(b">") + 1]


def _say_element(element: _Element, lists: tuple[str, ...]) -> Any:
    """An element as JSON: text, or an object of its children; attributes as @name, repeated children as lists."""
    text = "".join(element.text).strip()
    if not element.children and not element.attributes:
        return text
    if element.attributes.get("nil") == "true" and not element.children:
        return None
    said: dict[str, Any] = {f"@{name}": value for name, value in element.attributes.items()}
    named: dict[str, list[_Element]] = {}
    for child in element.children:
        named.setdefault(child.name, []).append(child)
    for name, children in named.items():
        if name in lists:
            items = [item for child in children for item in (child.children if _is_container(child) else [child])]
            said[name] = [_say_element(item, lists) for item in items if item.children or item.attributes or item.text]
        else:
            values = [_say_element(child, lists) for child in children]
            said[name] = values if len(values) > 1 else values[0]
    if text:
        said["#text"] = text
    return said


def _is_container(element: _Element) -> bool:
    """Whether an element only holds the items of a list, as <lines> holds <line>s."""
    names = {child.name for child in element.children}
    return (
        len(names) == 1
        and not element.attributes
        and (
            len(element.children) > 1
            or bool(element.children[0].children)
            or element.name == element.children[0].name + "s"
        )
    )
