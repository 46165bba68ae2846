"""croissant.json: the data set as Croissant 1.0 metadata (mlcommons.org/croissant/1.0), JSON-LD
that search engines and loaders read.

It is written as plain JSON: the library that checks it takes seconds to import and generates
nothing.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from engine.publish.portrait import Portrait
from engine.schema import IMAGE_TYPE, LABELS, row_schema
from engine.store.plan import AnyPlan

CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
PROJECT = "https://retinaforge.invalid/"
"""A data set on a disk has no address yet, and Croissant asks for one."""
LISTED = "metadata.jsonl"
"""The table of images that lie as files."""
COLUMNS = {
    "file_name": "the image, from where this table lies",
    "id": "hash of plan fingerprint and index",
    "index": "number of the row in the plan",
    "prompt": "the words the model was given",
    "seed": "the noise the image was drawn from",
    "quality_score": "the quality gate's score, 0 to 1",
    "nearest_distance": "distance to the nearest training image",
    "fingerprint": "of the plan",
    "mask_lesion": "every lesion",
    "mask_dark_lesion": "lesions that are darker than the retina around them",
    "mask_bright_lesion": "lesions that are brighter than the retina around them",
    **{label.name: label.meaning for label in LABELS},
}
"""What columns hold in every folder."""


def record_of(
    plan: AnyPlan, described: Portrait, rows: int, finished: float, columns: Collection[str]
) -> dict[str, Any]:
    """The metadata of a data set of `rows` rows, finished at a Unix time.

    `columns` are those that all parts hold; readers give up on a part that lacks a described one.
    """
    kept = [field for field in row_schema() if field.name in columns]
    fields = [_field(each, described, {"fileSet": {"@id": "parts"}}) for each in kept]
    return _record(plan, described, rows, finished, [_files(columns)], fields)


def bundle_record(
    plan: AnyPlan, described: Portrait, rows: int, finished: float, listed_sha256: str
) -> dict[str, Any]:
    """The same of images as files beside the table of that hash (`engine.publish.layouts`)."""
    source = {"fileObject": {"@id": LISTED}}
    kept = [field for field in row_schema() if field.type != IMAGE_TYPE]
    named = pa.field("file_name", pa.string())
    fields = [_field(each, described, source) for each in (named, *kept)]
    listed = {
        "@type": "cr:FileObject",
        "@id": LISTED,
        "name": LISTED,
        "description": "A line an image: its file and all that is known of it.",
        "contentUrl": LISTED,
        "encodingFormat": "application/jsonlines",
        "sha256": listed_sha256,
    }
    images = {
        "@type": "cr:FileSet",
        "@id": "images",
        "description": "The images that `file_name` names.",
        "encodingFormat": f"image/{plan.image_format}",
        "includes": "images/*/*",
    }
    return _record(plan, described, rows, finished, [listed, images], fields)


def _record(
    plan: AnyPlan,
    described: Portrait,
    rows: int,
    finished: float,
    distribution: list[dict[str, Any]],
    fields: list[dict[str, Any]],
) -> dict[str, Any]:
    day = datetime.fromtimestamp(finished, UTC).date().isoformat()
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        **described.record,
        "description": f"{rows:,} {described.record['description']}",
        "license": plan.license,
        "url": f"{PROJECT}{plan.fingerprint}",
        "version": "1.0.0",
        "datePublished": day,
        "creator": {"@type": "sc:Organization", "name": "RetinaForge", "url": PROJECT},
        "isLiveDataset": False,
        "distribution": distribution,
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "rows",
                "key": {"@id": "rows/id"},
                "field": fields,
            }
        ],
    }


def _files(columns: Collection[str]) -> dict[str, Any]:
    apart = [name for name in row_schema().names if name not in columns]
    some = f" Some files also hold {', '.join(apart)}." if apart else ""
    return {
        "@type": "cr:FileSet",
        "@id": "parts",
        "description": f"Parquet files, a row an image.{some}",
        "encodingFormat": "application/x-parquet",
        "includes": "parts/*.parquet",
    }


def _field(field: pa.Field, described: Portrait, place: dict[str, Any]) -> dict[str, Any]:
    source: dict[str, Any] = {**place, "extract": {"column": field.name}}
    if field.type == IMAGE_TYPE:
        source["transform"] = {"jsonPath": "bytes"}
    words = {**COLUMNS, **described.columns}
    return {
        "@type": "cr:Field",
        "@id": f"rows/{field.name}",
        "description": words.get(field.name, field.name.replace("_", " ")),
        "dataType": _data_type(field.type),
        "source": source,
    }


def _data_type(kind: pa.DataType) -> str:
    if kind == IMAGE_TYPE:
        return "sc:ImageObject"
    if pa.types.is_boolean(kind):
        return "sc:Boolean"
    if pa.types.is_integer(kind):
        return "sc:Integer"
    return "sc:Float" if pa.types.is_floating(kind) else "sc:Text"
