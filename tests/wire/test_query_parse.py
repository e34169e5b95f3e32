"""Forms into requests: what is taken, what is refused, and in which words."""

import base64
from typing import ClassVar

import pytest

from posthouse.model import generated as g
from posthouse.model.errors import MalformedInput, MalformedQueryString, ValidationError
from posthouse.model.shapes import Limits, Member, Structure
from posthouse.wire import query
from posthouse.wire.query import parse, parse_form

SEND = {
    "Source": "a@example.com",
    "Destination.ToAddresses.member.1": "b@example.com",
    "Message.Subject.Data": "s",
    "Message.Body.Text.Data": "t",
}


def refusal(form: dict[str, str], shape: type) -> str:
    with pytest.raises(ValidationError) as caught:
        parse(form, shape)
    return caught.value.message


def malformed(form: dict[str, str], shape: type) -> str:
    with pytest.raises(MalformedInput) as caught:
        parse(form, shape)
    return caught.value.message


class TestForm:
    @pytest.mark.parametrize(
        ("raw", "form"),
        [
            (b"", {}),
            (b"A=1&B=2", {"A": "1", "B": "2"}),
            (b"&A=1&&B=2&", {"A": "1", "B": "2"}),
            (b"A", {"A": ""}),
            (b"A=", {"A": ""}),
            (b"A=b=c", {"A": "b=c"}),
            (b"A=b+c%20d", {"A": "b c d"}),
            (b"A=%2B%3D%26%25%3d", {"A": "+=&%="}),
            (b"A=%2541", {"A": "%41"}),
            (b"A=x==%0A+%0D%0A=", {"A": "x==\n \r\n="}),
            (b"A=x%20%20%0A", {"A": "x  \n"}),
            (b"N%61me=v", {"Name": "v"}),
            (b"A=%C3%A9", {"A": "é"}),
            ("A=é".encode(), {"A": "é"}),
        ],
    )
    def test_form_is_decoded(self, raw: bytes, form: dict[str, str]) -> None:
        assert parse_form(raw) == form

    @pytest.mark.parametrize(
        "raw", [b"A=%", b"A=%4", b"A=%4G", b"%G1=a", b"A=%%41", b"A=%\n1", b"A=%C3", b"A=\xff", b"\xc3=a"]
    )
    def test_broken_encoding_is_refused(self, raw: bytes) -> None:
        with pytest.raises(MalformedQueryString) as caught:
            parse_form(raw)
        assert caught.value.http_status == 404

    def test_first_of_two_equal_parameters_counts(self) -> None:
        assert parse_form(b"A=1&A=2&B=3") == {"A": "1", "B": "3"}

    def test_query_string_may_not_repeat_a_parameter(self) -> None:
        with pytest.raises(MalformedQueryString):
            parse_form(b"A=1&%41=2", unique=True)

    def test_number_of_parameters_is_limited(self) -> None:
        assert len(parse_form(b"&".join(b"A%d=1" % i for i in range(query.MAX_PARAMETERS)))) == query.MAX_PARAMETERS
        with pytest.raises(MalformedQueryString):
            parse_form(b"&" * query.MAX_PARAMETERS)

    def test_depth_of_names_is_limited(self) -> None:
        deep = ".".join(["A"] * query.MAX_NAME_PARTS)
        assert parse({**SEND, deep: "x"}, g.SendEmailRequest).source == "a@example.com"
        assert "parts" in malformed({**SEND, f"{deep}.A": "x"}, g.SendEmailRequest)


class TestPresence:
    def test_unknown_parameters_are_ignored(self) -> None:
        request = parse({**SEND, "Action": "SendEmail", "Colour": "x", "Message.Colour": "y"}, g.SendEmailRequest)
        assert request == parse(SEND, g.SendEmailRequest)

    def test_nothing_is_filled_in(self) -> None:
        rule = parse({"RuleSetName": "s", "Rule.Name": "r"}, g.CreateReceiptRuleRequest).rule
        assert rule == g.ReceiptRule(name="r")
        assert rule.enabled is None
        assert rule.tls_policy is None

    def test_empty_optional_string_is_not_given(self) -> None:
        request = parse({**SEND, "ReturnPath": "", "SourceArn": ""}, g.SendEmailRequest)
        assert request.return_path is None
        assert request.source_arn is None

    def test_empty_required_string_stays_empty(self) -> None:
        assert parse({"Identity": ""}, g.DeleteIdentityRequest).identity == ""

    def test_structure_of_empty_members_is_given(self) -> None:
        form = {"ConfigurationSetName": "s", "TrackingOptions.CustomRedirectDomain": ""}
        request = parse(form, g.CreateConfigurationSetTrackingOptionsRequest)
        assert request.tracking_options == g.TrackingOptions()

    def test_bare_list_is_the_empty_list(self) -> None:
        request = parse({**SEND, "Destination.CcAddresses": "", "Tags": ""}, g.SendEmailRequest)
        assert request.destination.cc_addresses == ()
        assert request.tags == ()
        assert request.reply_to_addresses is None

    def test_bare_required_list_is_given(self) -> None:
        assert parse({"Identities": ""}, g.GetIdentityDkimAttributesRequest).identities == ()


class TestLists:
    def test_elements_come_by_index_not_by_place(self) -> None:
        form = {f"Identities.member.{i}": f"{i}.example" for i in (10, 2, 1, 3, 9, 8, 7, 6, 5, 4)}
        identities = parse(form, g.GetIdentityDkimAttributesRequest).identities
        assert identities == tuple(f"{i}.example" for i in range(1, 11))

    def test_small_gaps_are_closed(self) -> None:
        form = {"Identities.member.3": "b", "Identities.member.2": "a", "Identities.member.13": "c"}
        assert parse(form, g.GetIdentityDkimAttributesRequest).identities == ("a", "b", "c")

    @pytest.mark.parametrize(
        ("index", "message"),
        [
            ("0", "0 is not a valid index"),
            ("01", "Value found where not expected"),
            ("x", "Start of list found where not expected"),
            ("", "Start of list found where not expected"),
            ("-1", "Start of list found where not expected"),
            ("1_0", "Start of list found where not expected"),
            (" 1", "Start of list found where not expected"),
            ("١", "Start of list found where not expected"),
            ("²", "Start of list found where not expected"),
            ("12", "Excessively sparse input would skip 11 list elements"),
            ("214748369", "Excessively sparse input would skip 214,748,368 list elements"),
            ("214748370", "Index 214748370 is illegal"),
            ("99999999999", "Index 99999999999 is illegal"),
            ("9" * 5000, f"Index {'9' * 32} is illegal"),
        ],
    )
    def test_bad_index_is_refused_in_the_words_of_ses(self, index: str, message: str) -> None:
        assert malformed({f"Identities.member.{index}": "a"}, g.GetIdentityDkimAttributesRequest) == message

    @pytest.mark.parametrize(
        "form",
        [
            {"Identities": "a"},
            {"Identities.member": "a"},
            {"Identities.1": "a"},
            {"Identities.member.1.x": "a"},
            {"Identities.member.1": "a", "Identities.other": "b"},
            {"Identities": "", "Identities.member.1": "a"},
            {"Identities.member.1": "a", "Identities": ""},
        ],
    )
    def test_value_that_is_no_list_is_refused(self, form: dict[str, str]) -> None:
        assert "not expected" in malformed(form, g.GetIdentityDkimAttributesRequest)

    def test_element_that_should_be_a_structure_is_refused(self) -> None:
        assert malformed({**SEND, "Tags.member.1": "x"}, g.SendEmailRequest) == "Value found where not expected"

    def test_string_with_parts_is_refused(self) -> None:
        assert "structure" in malformed({"Identity.x": "a"}, g.DeleteIdentityRequest)

    def test_structure_with_a_value_is_refused(self) -> None:
        form = {"Source": "a", "Destination": "x"}
        assert malformed(form, g.SendEmailRequest) == "Value found where not expected"


class TestValues:
    @pytest.mark.parametrize(("text", "value"), [("true", True), ("1", True), ("false", False), ("0", False)])
    def test_booleans(self, text: str, value: bool) -> None:
        assert parse({"Enabled": text}, g.UpdateAccountSendingEnabledRequest).enabled is value

    @pytest.mark.parametrize("text", ["True", "TRUE", "yes", " true", "2"])
    def test_what_is_no_boolean_is_refused(self, text: str) -> None:
        message = malformed({"Enabled": text}, g.UpdateAccountSendingEnabledRequest)
        assert message == "boolean must follow xsd1.1 definition"

    def test_empty_boolean_is_refused(self) -> None:
        message = malformed({"Enabled": ""}, g.UpdateAccountSendingEnabledRequest)
        assert message == "missing value for boolean type"

    @pytest.mark.parametrize(
        ("text", "value"), [("7", 7), ("-1", -1), ("+5", 5), ("007", 7), ("2147483647", 2147483647)]
    )
    def test_integers(self, text: str, value: int) -> None:
        assert parse({"MaxItems": text}, g.ListIdentitiesRequest).max_items == value

    @pytest.mark.parametrize("text", ["a", "1.0", "1_0", " 1", "1 ", "١", "2147483648", "-2147483649", "9" * 10_000])
    def test_what_is_no_integer_is_refused_without_a_word(self, text: str) -> None:
        assert malformed({"MaxItems": text}, g.ListIdentitiesRequest) == ""

    def test_empty_integer_is_refused(self) -> None:
        assert malformed({"MaxItems": ""}, g.ListIdentitiesRequest) == "missing value for decimal type"

    @pytest.mark.parametrize(
        ("text", "at_ms"),
        [
            ("1970-01-01T00:00:00Z", 0),
            ("2024-05-02T09:15:30Z", 1_714_641_330_000),
            ("2024-05-02T09:15:30.5Z", 1_714_641_330_500),
            ("2024-05-02T09:15:30.123999Z", 1_714_641_330_123),
            ("2024-05-02T11:15:30+02:00", 1_714_641_330_000),
            ("2024-05-02T04:15:30.001-0500", 1_714_641_330_001),
            ("1969-12-31T23:59:59.900Z", -100),
        ],
    )
    def test_timestamps_are_milliseconds(self, text: str, at_ms: int) -> None:
        assert (
            parse(_bounce(**{"MessageDsn.ArrivalDate": text}), g.SendBounceRequest).message_dsn.arrival_date_ms == at_ms
        )

    @pytest.mark.parametrize(
        "text",
        ["", "now", "2024-05-02", "2024-02-30T00:00:00Z", "2024-05-02T25:00:00Z", "2024-05-02T09:15:30", "1714641330",
         "9999-12-31T23:59:59-01:00", "0001-01-01T00:00:00+01:00", "٢٠٢٤-05-02T09:15:30Z", "2024-05-02T09:15:30Z\n"],
    )  # fmt: skip
    def test_what_is_no_timestamp_is_refused(self, text: str) -> None:
        assert (
            malformed(_bounce(**{"MessageDsn.ArrivalDate": text}), g.SendBounceRequest)
            == "timestamp must follow ISO8601"
        )

    @pytest.mark.parametrize("data", [b"", b"a", b"ab", b"abc", bytes(range(256))])
    def test_blobs(self, data: bytes) -> None:
        form = {"RawMessage.Data": base64.b64encode(data).decode()}
        assert parse(form, g.SendRawEmailRequest).raw_message.data == data

    def test_folded_base64_is_taken(self) -> None:
        form = {"RawMessage.Data": base64.encodebytes(bytes(range(256))).decode().replace("\n", "\r\n")}
        assert parse(form, g.SendRawEmailRequest).raw_message.data == bytes(range(256))

    @pytest.mark.parametrize("text", ["a", "ab=", "abc", "ab==x", "a b=", "=", "ab$=", "abcd=", "é"])
    def test_what_is_no_base64_is_refused(self, text: str) -> None:
        assert "base64" in malformed({"RawMessage.Data": text}, g.SendRawEmailRequest)


def _bounce(**more: str) -> dict[str, str]:
    return {
        "OriginalMessageId": "m",
        "BounceSender": "a@example.com",
        "BouncedRecipientInfoList.member.1.Recipient": "b@example.com",
        "MessageDsn.ReportingMta": "dns; mta.example.com",
        **more,
    }


class TestValidation:
    def test_missing_member_is_null(self) -> None:
        form = {**SEND, "Message.Subject.Charset": "UTF-8"}
        del form["Message.Subject.Data"]
        assert refusal(form, g.SendEmailRequest) == (
            "1 validation error detected: Value null at 'message.subject.data' failed to satisfy constraint: "
            "Member must not be null"
        )

    def test_missing_structure_is_one_violation(self) -> None:
        form = {name: value for name, value in SEND.items() if "Subject" not in name}
        assert refusal(form, g.SendEmailRequest) == (
            "1 validation error detected: Value null at 'message.subject' failed to satisfy constraint: "
            "Member must not be null"
        )

    def test_every_violation_is_listed_in_one_error(self) -> None:
        assert refusal({"Message.Subject.Data": "s", "Message.Body.Text.Data": "t"}, g.SendEmailRequest) == (
            "2 validation errors detected: "
            "Value null at 'source' failed to satisfy constraint: Member must not be null; "
            "Value null at 'destination' failed to satisfy constraint: Member must not be null"
        )

    def test_enum(self) -> None:
        form = {"ConfigurationSetName": "s", "DeliveryOptions.TlsPolicy": "Sometimes"}
        assert refusal(form, g.PutConfigurationSetDeliveryOptionsRequest) == (
            "1 validation error detected: Value at 'deliveryOptions.tlsPolicy' failed to satisfy constraint: "
            "Member must satisfy enum value set: [Optional, Require]"
        )

    def test_empty_enum_is_a_violation(self) -> None:
        form = {"Identity": "example.com", "BehaviorOnMXFailure": ""}
        assert "'behaviorOnMXFailure'" in refusal(form, g.SetIdentityMailFromDomainRequest)

    def test_enums_are_case_sensitive(self) -> None:
        assert "[Domain, EmailAddress]" in refusal({"IdentityType": "domain"}, g.ListIdentitiesRequest)

    def test_path_lowers_the_first_letter_and_numbers_list_members(self) -> None:
        form = {"RuleSetName": "s", "Rule.Name": "r", "Rule.Actions.member.1.SNSAction.Encoding": "Morse"}
        assert refusal(form, g.CreateReceiptRuleRequest) == (
            "2 validation errors detected: "
            "Value at 'rule.actions.1.member.sNSAction.encoding' failed to satisfy constraint: "
            "Member must satisfy enum value set: [Base64, UTF-8]; "
            "Value null at 'rule.actions.1.member.sNSAction.topicArn' failed to satisfy constraint: "
            "Member must not be null"
        )

    def test_missing_members_of_a_bounce_action_come_in_the_order_of_ses(self) -> None:
        topic = "Rule.Actions.member.1.BounceAction.TopicArn"
        message = refusal({"RuleSetName": "s", "Rule.Name": "r", topic: "t"}, g.CreateReceiptRuleRequest)
        places = [message.index(f"bounceAction.{name}'") for name in ("smtpReplyCode", "sender", "message")]
        assert places == sorted(places)

    def test_clone_names_the_original_first(self) -> None:
        form = {"RuleSetName": "a b", "OriginalRuleSetName": "c d"}
        message = refusal(form, g.CloneReceiptRuleSetRequest)
        assert message.index("'originalRuleSetName'") < message.index("'ruleSetName'")

    def test_pattern(self) -> None:
        assert refusal({"RuleSetName": "a b"}, g.CreateReceiptRuleSetRequest) == (
            "1 validation error detected: Value at 'ruleSetName' failed to satisfy constraint: "
            "Member must satisfy regular expression pattern: ^[a-zA-Z0-9_.-]+$"
        )

    @pytest.mark.parametrize("name", ["é", "a\n", "a/b", "٣"])
    def test_pattern_covers_the_whole_value_in_ascii(self, name: str) -> None:
        assert "pattern" in refusal({"RuleSetName": name}, g.CreateReceiptRuleSetRequest)

    def test_empty_name_is_too_short_and_breaks_the_pattern(self) -> None:
        assert refusal({"RuleSetName": ""}, g.CreateReceiptRuleSetRequest) == (
            "2 validation errors detected: Value at 'ruleSetName' failed to satisfy constraint: "
            "Member must have length greater than or equal to 1; Value at 'ruleSetName' failed to satisfy constraint: "
            "Member must satisfy regular expression pattern: ^[a-zA-Z0-9_.-]+$"
        )

    def test_empty_optional_name_was_not_given(self) -> None:
        """The API reference's own sample of CreateReceiptRule sends an empty After."""
        form = {"RuleSetName": "s", "Rule.Name": "r", "After": ""}
        assert parse(form, g.CreateReceiptRuleRequest).after is None
        assert parse({"RuleSetName": ""}, g.SetActiveReceiptRuleSetRequest).rule_set_name is None

    def test_bad_rule_names_are_one_violation_of_the_list(self) -> None:
        form = {
            "RuleSetName": "s",
            "RuleNames.member.1": "a b",
            "RuleNames.member.2": "x" * 101,
            "RuleNames.member.3": "",
        }
        assert refusal(form, g.ReorderReceiptRuleSetRequest) == (
            "1 validation error detected: Value at 'ruleNames' failed to satisfy constraint: "
            "Member must satisfy constraint: [Member must have length less than or equal to 100, "
            "Member must have length greater than or equal to 1, "
            "Member must satisfy regular expression pattern: ^[a-zA-Z0-9_.-]+$]"
        )

    def test_too_long(self) -> None:
        form = {"Identity": "example.com", "PolicyName": "p" * 65, "Policy": "{}"}
        assert refusal(form, g.PutIdentityPolicyRequest) == (
            "1 validation error detected: Value at 'policyName' failed to satisfy constraint: "
            "Member must have length less than or equal to 64"
        )

    @pytest.mark.parametrize(
        ("number", "words"), [("0", "greater than or equal to 1"), ("51", "less than or equal to 50")]
    )
    def test_number_out_of_bounds(self, number: str, words: str) -> None:
        """No request of the model has such a number that the live service would hold against its bounds."""

        class Paged(Structure, frozen=True, kw_only=True):
            max_results: int | None = None
            MEMBERS: ClassVar[tuple[Member, ...]] = (
                Member("MaxResults", "max_results", "integer", limits=Limits(minimum=1, maximum=50)),
            )

        assert refusal({"MaxResults": number}, Paged) == (
            "1 validation error detected: Value at 'maxResults' failed to satisfy constraint: "
            f"Member must have value {words}"
        )

    def test_thousands_of_violations_make_a_short_answer(self) -> None:
        form = {**SEND, **{f"Tags.member.{i}.Colour": "x" for i in range(1, 3000)}}
        message = refusal(form, g.SendEmailRequest)
        assert message.startswith(f"{query.MAX_VIOLATIONS} validation errors detected: ")
        assert len(message) < 20_000
