"""botocore is the other end of the wire: what it writes we read, what we write it reads."""

from urllib.parse import urlencode

import pytest
from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.wire.query_values import ANY_TEXT, XML_TEXT, plain, service_model, structures

from posthouse.model import generated
from posthouse.model.errors import ServiceError
from posthouse.model.generated import OPERATIONS
from posthouse.wire.query import parse, parse_form, render, render_error

FEW = settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
MODELLED = [kind for kind in ServiceError.__subclasses__() if kind.__module__ == generated.__name__]


def test_there_are_71_operations_to_try() -> None:
    assert len(OPERATIONS) == 71
    assert set(OPERATIONS) == set(service_model().operation_names)


@pytest.mark.parametrize("name", OPERATIONS)
def test_what_botocore_writes_is_read_back(name: str) -> None:
    operation = OPERATIONS[name]
    serializer = create_serializer("query", include_validation=False)
    model = service_model().operation_model(name)

    @FEW
    @given(structures(operation.request, ANY_TEXT))
    def check(request):
        body = serializer.serialize_to_request(plain(request), model)["body"]
        form = parse_form(urlencode(body).encode())
        assert form["Action"] == name
        assert parse(form, operation.request) == request

    check()


@pytest.mark.parametrize("name", OPERATIONS)
def test_what_we_write_botocore_reads_back(name: str) -> None:
    operation = OPERATIONS[name]
    parser = create_parser("query")
    shape = service_model().operation_model(name).output_shape

    @FEW
    @given(structures(operation.response, XML_TEXT))
    def check(response):
        xml = render(response, operation, "7c6a1e5f-0000-4000-8000-000000000001")
        answer = parser.parse({"body": xml, "headers": {}, "status_code": 200}, shape)
        assert answer.pop("ResponseMetadata")["RequestId"] == "7c6a1e5f-0000-4000-8000-000000000001"
        assert answer == plain(response)

    check()


@pytest.mark.parametrize("kind", MODELLED, ids=lambda kind: kind.__name__)
@given(st.data())
@settings(max_examples=5, deadline=None)
def test_errors_are_read_back_with_their_members(kind: type[ServiceError], data: st.DataObject) -> None:
    message = data.draw(XML_TEXT)
    shape = service_model().shape_for(kind.__name__)
    members = {name: data.draw(XML_TEXT.filter(bool)) for name in shape.members if name.lower() != "message"}
    error = kind(message)
    error.members = members
    parser = create_parser("query")
    received = {"body": render_error(error, "rid"), "headers": {}, "status_code": 400}
    answer = parser.parse(received, None)
    assert answer["Error"]["Code"] == shape.error_code
    assert answer["Error"].get("Message", "") == message
    assert answer["Error"]["Type"] == "Sender"
    assert answer["ResponseMetadata"]["RequestId"] == "rid"
    assert {k: v for k, v in parser.parse(received, shape).items() if k in members} == members
