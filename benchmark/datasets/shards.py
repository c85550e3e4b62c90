"""WebDataset shards: tar files in which consecutive members with one key (key.jpg, key.txt, key.json) are a sample.

Names of members are never used as paths: nothing is unpacked, an image is a range of bytes of its shard.
"""

import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Any

from benchmark.catalog import DatasetCard
from benchmark.datasets.source import CAPTIONS, unicode

IMAGES = ("jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff", "ppm", "avif")
TEXT_BYTES, IMAGE_BYTES, SHARD_BYTES = 2**20, 2**28, 2**36
"""Larger captions or metadata, larger encoded images, and what lies behind a larger member are not read."""
INVALID, TRUNCATED = tarfile.InvalidHeaderError, tarfile.TruncatedHeaderError  # type: ignore[attr-defined]
END_MARK = tarfile.EOFHeaderError  # type: ignore[attr-defined]
CUT = "cut off at the end of its shard"
EXTRAS = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)


@dataclass
class TarSample:
    """The members of one key, or a note on a part of a shard that cannot be read (key "")."""

    key: str
    problem: str = ""
    """Why the sample cannot be used; "" if nothing is known against it."""
    offset: int = -1
    """Where the encoded image starts in the shard; -1: there is none."""
    size: int = 0
    image: bytes = b""
    """The encoded image, if images were asked for."""
    texts: dict[str, bytes] = field(default_factory=dict)
    """Contents of the other members that were asked for, by ending."""
    endings: list[str] = field(default_factory=list)
    """Of all members, in their order."""

    def metadata(self) -> dict[str, Any]:
        """Return the content of the sample's JSON member, {} where there is no valid one."""
        try:
            content = json.loads(self.texts.get("json", b"{}"))
        except (ValueError, RecursionError):
            return {}
        return content if isinstance(content, dict) else {}

    def captions(self, wanted: str) -> list[str] | None:
        """Return the captions in the member or JSON field `wanted`, by default .txt and then a field by name.

        Returns None where there is no such member or field; blank captions are dropped. Raises ValueError for a
        caption that is no text.
        """
        member = self.texts.get((wanted or "txt").lower())
        value: Any = None if member is None else member.decode("utf-8-sig")
        if value is None or not wanted and not value.strip():
            metadata = self.metadata()
            name = wanted or next((name for name in CAPTIONS if metadata.get(name)), "")
            if name not in metadata:
                return None if value is None else []
            value = metadata[name]
        several = [item for item in (value if isinstance(value, list) else [value]) if item is not None]
        if not all(isinstance(item, str) for item in several):
            raise ValueError("its caption is no text")
        return [unicode(item) for item in several if item.strip()]


class _Header(tarfile.TarInfo):
    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "_Header":
        header = super().frombuf(buf, encoding, errors)
        if header.size < 0 or header.type in EXTRAS and header.size > TEXT_BYTES:  # tarfile would read it at once
            raise INVALID("impossible size")
        return header

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> "_Header":
        assert isinstance(archive, _Archive)
        try:
            header = super().fromtarfile(archive)
            archive.ended = False
            return header
        except END_MARK:
            archive.ended = True
            raise
        except TRUNCATED as error:
            raise tarfile.ReadError(str(error)) from None
        except INVALID as error:
            if archive.offset == 0:
                raise tarfile.ReadError(str(error)) from None
            if archive.damage is None:
                archive.damage = archive.offset
            archive.stumbled = True
            raise


class _Archive(tarfile.TarFile):
    """A tar file that goes on after a damaged header (ignore_zeros) and remembers where the first one was."""

    damage: int | None = None
    stumbled = False
    ended = False
    """Whether a block of zeros followed the last member. The end mark has two, but what is cut off behind the first
    holds no sample."""
    tarinfo = _Header

    def walk(self) -> Iterator[tarfile.TarInfo]:
        """Yield the members. Raises TarError, or ValueError for nonsense in an extended header, where they end."""
        last = -1
        while True:
            try:
                member = self.next()
            except tarfile.ReadError:
                if not self.stumbled:
                    raise
                # A bad header behind an extended one, over which tarfile itself does not go on.
                self.stumbled, self.offset = False, self.fileobj.tell()
                continue
            if member is None:
                return
            if not 0 <= member.size <= SHARD_BYTES or member.offset_data <= last:
                raise tarfile.ReadError("a member of impossible size")
            last = member.offset_data
            self.members.clear()  # type: ignore[attr-defined]  # of no use here, and long
            self.stumbled = False
            yield member


def read_samples(shard: IO[bytes], card: DatasetCard, length: int | None) -> Iterator[TarSample]:
    """Yield the samples of one shard, and at its end a note (key "") if a part of it cannot be read.

    `length`: the file's size in bytes, which may then be read in any order and whose images are left where they are;
    None for a stream, which is read once from start to end, images included. Raises OSError where reading fails.
    """
    current: TarSample | None = None
    archive: _Archive | None = None
    cut = ""
    try:
        how: dict[str, Any] = {"ignore_zeros": True, "encoding": "utf-8", "errors": "backslashreplace"}
        archive = _Archive.open(fileobj=shard, mode="r|" if length is None else "r:", **how)
        for member in archive.walk():
            key, ending = _split(member.name)
            if not member.isreg() or member.issparse() or not ending:
                continue
            if current is None or key != current.key:
                if current is not None:
                    yield current
                current = TarSample(key)
            current.endings.append(ending)
            if length is not None and member.offset_data + member.size > length:
                current.problem = CUT
                raise tarfile.ReadError("unexpected end of data")
            _add(current, archive, member, ending, card, with_image=length is None)
        # Without it a shard that is cut exactly between two members looks whole.
        cut = "" if archive.ended else "no end mark"
    except (tarfile.TarError, ValueError) as error:  # ValueError: nonsense in an extended header
        cut = str(error)
    finally:
        if archive is not None:
            archive.close()
    if current is not None:
        yield current
    if archive is None:
        yield TarSample("", "not a tar file")
    elif archive.damage is not None:
        yield TarSample("", f"damaged at byte {archive.damage}; samples there may be lost")
    elif cut:
        yield TarSample("", f"ends too early ({cut}); samples behind may be lost")


def _split(name: str) -> tuple[str, str]:
    """Return key and ending of a member: the name is cut at the first dot of its last part."""
    folder, slash, last = name.rpartition("/")
    stem, _, ending = last.partition(".")
    return f"{folder}{slash}{stem}", ending.lower() if stem else ""


def _add(
    sample: TarSample,
    archive: tarfile.TarFile,
    member: tarfile.TarInfo,
    ending: str,
    card: DatasetCard,
    with_image: bool,
) -> None:
    is_image = ending == card.image.lower() if card.image else ending in IMAGES
    if is_image and sample.offset < 0:
        sample.offset, sample.size = member.offset_data, member.size
        if member.size > IMAGE_BYTES:
            sample.problem = f"its image has more than {IMAGE_BYTES} bytes"
        elif with_image:
            sample.image = _content(sample, archive, member)
    elif ending in ("txt", "json", card.caption.lower()):
        if member.size > TEXT_BYTES:
            sample.problem = f"its {ending} has more than {TEXT_BYTES} bytes"
        elif not sample.problem:
            sample.texts[ending] = _content(sample, archive, member)


def _content(sample: TarSample, archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    content = archive.extractfile(member)
    assert content is not None  # of a regular file there is always something to read
    try:
        return content.read()
    except tarfile.ReadError:
        sample.problem = CUT
        raise
