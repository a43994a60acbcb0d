"""carob's definition has what rkt published, name by name and number by number."""

from __future__ import annotations

from google.protobuf import descriptor_pb2

from carob.service.v1alpha import api_pb2 as api
from tests.parts.rkt_client import build_file


def test_the_definition_is_rkts() -> None:
    ours = descriptor_pb2.FileDescriptorProto()
    api.DESCRIPTOR.CopyToProto(ours)
    theirs = build_file()
    for kind in ("message_type", "enum_type", "service"):
        mine, rkts = ({one.name: one for one in getattr(file, kind)} for file in (ours, theirs))
        assert sorted(mine) == sorted(rkts)
        for name, one in mine.items():
            for field in getattr(one, "field", ()):
                field.ClearField("json_name")
            assert one == rkts[name]
    assert (ours.package, ours.syntax) == (theirs.package, theirs.syntax)
