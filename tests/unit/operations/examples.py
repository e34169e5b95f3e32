"""An example of each operation, and what an account is furnished with before strangers try them on it.

For `test_isolation.py`: an operation that is built needs a line in `EXAMPLES`; what it works on, in `FURNITURE`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from posthouse.domain.messages import INBOUND, ContentKind, Direction, MessageFacts, NewMessage
from posthouse.domain.scope import Scope

DOMAIN, ADDRESS, TOPIC = "shop.example", "ann@post.example", "arn:aws:sns:us-east-1:111111111111:mail"
SUBDOMAIN = f"bounce.{DOMAIN}"
IDENTITY_ARN = f"arn:aws:ses:us-east-1:111111111111:identity/{DOMAIN}"
POLICY = (
    '{"Version":"2012-10-17","Statement":[{"Sid":"s","Effect":"Allow","Principal":{"AWS":"333333333333"},'
    f'"Action":["ses:SendEmail","ses:SendRawEmail"],"Resource":"{IDENTITY_ARN}"}}]}}'
)
RAW = "RnJvbTogYUBzaG9wLmV4YW1wbGUNClRvOiBiQHguZXhhbXBsZQ0KDQpoaQ0K"
"""A mail from a@shop.example to b@x.example, in base64."""

INCOMING = "06hhgn2g00000000000000000000000000000000"
"""The id of a mail from b@x.example to desk@shop.example, received before anything else."""

Form = Mapping[str, str]
MAIL = {
    "Source": f"a@{DOMAIN}",
    "Destination.ToAddresses.member.1": "b@x.example",
    "Message.Subject.Data": "Hello",
    "Message.Body.Text.Data": "hi",
}
CUSTOM_TEMPLATE = {
    "TemplateName": "welcome",
    "FromEmailAddress": f"a@{DOMAIN}",
    "TemplateSubject": "Please confirm",
    "TemplateContent": "<p>Please confirm</p>",
    "SuccessRedirectionURL": "https://shop.example/yes",
    "FailureRedirectionURL": "https://shop.example/no",
}
TEMPLATE = {
    "Template.TemplateName": "hello",
    "Template.SubjectPart": "Hello {{name}}",
    "Template.TextPart": "Dear {{name}}",
}
EVENTS_TO_TOPIC = {
    "ConfigurationSetName": "news",
    "EventDestination.Name": "topic",
    "EventDestination.MatchingEventTypes.member.1": "send",
    "EventDestination.SNSDestination.TopicARN": TOPIC,
}
REDIRECT = {"ConfigurationSetName": "news", "TrackingOptions.CustomRedirectDomain": f"links.{DOMAIN}"}

RULE_SET, RULE = {"RuleSetName": "inbound"}, {"RuleSetName": "inbound", "RuleName": "keep"}
A_RULE = {
    **RULE_SET,
    "Rule.Name": "keep",
    "Rule.Recipients.member.1": DOMAIN,
    "Rule.Actions.member.1.S3Action.BucketName": "mail",
    "Rule.Actions.member.2.SNSAction.TopicArn": TOPIC,
}
A_FILTER = {"Filter.Name": "office", "Filter.IpFilter.Policy": "Allow", "Filter.IpFilter.Cidr": "192.0.2.0/24"}

TEMPLATED_MAIL = {
    "Source": f"a@{DOMAIN}",
    "Destination.ToAddresses.member.1": "b@x.example",
    "Template": TEMPLATE["Template.TemplateName"],
    "TemplateData": '{"name": "B"}',
}
BULK_MAIL = {
    "Source": f"a@{DOMAIN}",
    "Destinations.member.1.Destination.ToAddresses.member.1": "b@x.example",
    "Template": TEMPLATE["Template.TemplateName"],
    "DefaultTemplateData": '{"name": "B"}',
}

FURNITURE: tuple[tuple[str, Form], ...] = (
    ("VerifyDomainIdentity", {"Domain": DOMAIN}),
    ("VerifyDomainDkim", {"Domain": DOMAIN}),
    ("VerifyEmailIdentity", {"EmailAddress": ADDRESS}),
    ("SetIdentityNotificationTopic", {"Identity": DOMAIN, "NotificationType": "Bounce", "SnsTopic": TOPIC}),
    ("SetIdentityNotificationTopic", {"Identity": DOMAIN, "NotificationType": "Complaint", "SnsTopic": TOPIC}),
    ("SetIdentityMailFromDomain", {"Identity": DOMAIN, "MailFromDomain": SUBDOMAIN}),
    ("PutIdentityPolicy", {"Identity": DOMAIN, "PolicyName": "partner", "Policy": POLICY}),
    ("CreateCustomVerificationEmailTemplate", CUSTOM_TEMPLATE),
    ("CreateTemplate", TEMPLATE),
    ("CreateConfigurationSet", {"ConfigurationSet.Name": "news"}),
    ("CreateConfigurationSetEventDestination", EVENTS_TO_TOPIC),
    ("CreateConfigurationSetTrackingOptions", REDIRECT),
    ("SendEmail", {**MAIL, "ConfigurationSetName": "news"}),
    ("SendTemplatedEmail", TEMPLATED_MAIL),
    ("CreateReceiptRuleSet", RULE_SET),
    ("CreateReceiptRule", A_RULE),
    ("CreateReceiptRule", {**RULE_SET, "Rule.Name": "mark"}),
    ("SetActiveReceiptRuleSet", RULE_SET),
    ("CreateReceiptRuleSet", {"RuleSetName": "spare"}),
    ("CreateReceiptFilter", A_FILTER),
    ("UpdateAccountSendingEnabled", {"Enabled": "false"}),
)
"""Made in this order by the owner; operations that are not built are passed over."""


def incoming(scope: Scope, message_id: str, at_ms: int, **facts: Any) -> NewMessage:
    """A mail that came in, as the MX door keeps it."""
    content = (
        b"Return-Path: <b@x.example>\r\nFrom: b@x.example\r\nMessage-ID: <1@x.example>\r\nSubject: Help\r\n\r\nhelp\r\n"
    )
    known: dict[str, Any] = {
        "scope": scope,
        "message_id": message_id,
        "direction": Direction.IN,
        "accepted_ms": at_ms,
        "operation": INBOUND,
        "source": "b@x.example",
        "from_domain": "x.example",
        "feedback_to": "b@x.example",
        "subject": "Help",
        "size": len(content),
        "content_kind": ContentKind.RAW,
    }
    return NewMessage(MessageFacts(**{**known, **facts}), (f"desk@{DOMAIN}", f"Support@{DOMAIN}"), content)


@dataclass(frozen=True)
class Example:
    parameters: Form
    repeats: bool = False
    """True where it makes no difference to the owner that all is there already."""
    fresh: str = "$^"
    """A pattern of what is made anew each time and so differs; none of it may be the owner's."""


def of(repeats: bool = False, **parameters: Any) -> Example:
    """With dots written as two underscores."""
    return Example({name.replace("__", "."): value for name, value in parameters.items()}, repeats)


EXAMPLES: dict[str, Example] = {
    "CloneReceiptRuleSet": of(RuleSetName="copy", OriginalRuleSetName="inbound"),
    "CreateConfigurationSet": of(ConfigurationSet__Name="news"),
    "CreateConfigurationSetEventDestination": Example(EVENTS_TO_TOPIC),
    "CreateConfigurationSetTrackingOptions": Example(REDIRECT),
    "CreateCustomVerificationEmailTemplate": Example(CUSTOM_TEMPLATE),
    "CreateReceiptFilter": Example(A_FILTER),
    "CreateReceiptRule": Example(A_RULE),
    "CreateReceiptRuleSet": Example(RULE_SET),
    "CreateTemplate": Example(TEMPLATE),
    "DeleteConfigurationSet": of(ConfigurationSetName="news"),
    "DeleteConfigurationSetEventDestination": of(ConfigurationSetName="news", EventDestinationName="topic"),
    "DeleteConfigurationSetTrackingOptions": of(ConfigurationSetName="news"),
    "DeleteCustomVerificationEmailTemplate": of(TemplateName="welcome"),
    "DeleteIdentity": of(Identity=DOMAIN),
    "DeleteIdentityPolicy": of(Identity=DOMAIN, PolicyName="partner"),
    "DeleteReceiptFilter": of(FilterName="office"),
    "DeleteReceiptRule": Example(RULE),
    "DeleteReceiptRuleSet": of(RuleSetName="spare"),
    "DeleteTemplate": of(TemplateName="hello"),
    "DeleteVerifiedEmailAddress": of(EmailAddress=ADDRESS),
    "DescribeActiveReceiptRuleSet": of(),
    "DescribeConfigurationSet": of(ConfigurationSetName="news"),
    "DescribeReceiptRule": Example(RULE),
    "DescribeReceiptRuleSet": Example(RULE_SET),
    "GetAccountSendingEnabled": of(),
    "GetCustomVerificationEmailTemplate": of(TemplateName="welcome"),
    "GetIdentityDkimAttributes": of(Identities__member__1=DOMAIN, Identities__member__2=f"a@{DOMAIN}"),
    "GetIdentityMailFromDomainAttributes": of(Identities__member__1=DOMAIN),
    "GetIdentityNotificationAttributes": of(Identities__member__1=DOMAIN, Identities__member__2=IDENTITY_ARN),
    "GetIdentityPolicies": of(Identity=DOMAIN, PolicyNames__member__1="partner"),
    "GetIdentityVerificationAttributes": of(Identities__member__1=DOMAIN, Identities__member__2=ADDRESS),
    "GetSendQuota": of(),
    "GetSendStatistics": of(repeats=True),
    "GetTemplate": of(TemplateName="hello"),
    "ListConfigurationSets": of(),
    "ListCustomVerificationEmailTemplates": of(),
    "ListIdentities": of(),
    "ListIdentityPolicies": of(Identity=DOMAIN),
    "ListReceiptFilters": of(),
    "ListReceiptRuleSets": of(),
    "ListTemplates": of(),
    "ListVerifiedEmailAddresses": of(),
    "PutConfigurationSetDeliveryOptions": of(ConfigurationSetName="news", DeliveryOptions__TlsPolicy="Require"),
    "PutIdentityPolicy": of(Identity=DOMAIN, PolicyName="second", Policy=POLICY),
    "ReorderReceiptRuleSet": of(RuleSetName="inbound", RuleNames__member__1="keep", RuleNames__member__2="mark"),
    "SendBounce": of(
        OriginalMessageId=INCOMING,
        BounceSender=f"mailer-daemon@{DOMAIN}",
        BouncedRecipientInfoList__member__1__Recipient=f"desk@{DOMAIN}",
        BouncedRecipientInfoList__member__1__BounceType="DoesNotExist",
    ),
    "SendBulkTemplatedEmail": Example(BULK_MAIL),
    "SendCustomVerificationEmail": of(EmailAddress="new@x.example", TemplateName="welcome"),
    "SendEmail": Example({**MAIL, "SourceArn": IDENTITY_ARN}),
    "SendRawEmail": of(RawMessage__Data=RAW),
    "SendTemplatedEmail": Example(TEMPLATED_MAIL),
    "SetActiveReceiptRuleSet": of(RuleSetName="spare"),
    "SetIdentityDkimEnabled": of(Identity=DOMAIN, DkimEnabled="false"),
    "SetIdentityFeedbackForwardingEnabled": of(Identity=DOMAIN, ForwardingEnabled="false"),
    "SetIdentityHeadersInNotificationsEnabled": of(Identity=DOMAIN, NotificationType="Bounce", Enabled="true"),
    "SetIdentityMailFromDomain": of(Identity=DOMAIN),
    "SetIdentityNotificationTopic": of(Identity=DOMAIN, NotificationType="Bounce"),
    "SetReceiptRulePosition": Example(RULE),
    "TestRenderTemplate": of(TemplateName="hello", TemplateData='{"name":"Ann"}'),
    "UpdateAccountSendingEnabled": of(Enabled="true"),
    "UpdateConfigurationSetEventDestination": Example({**EVENTS_TO_TOPIC, "EventDestination.Enabled": "true"}),
    "UpdateConfigurationSetReputationMetricsEnabled": of(ConfigurationSetName="news", Enabled="true"),
    "UpdateConfigurationSetSendingEnabled": of(ConfigurationSetName="news", Enabled="false"),
    "UpdateConfigurationSetTrackingOptions": Example({**REDIRECT, "TrackingOptions.CustomRedirectDomain": DOMAIN}),
    "UpdateCustomVerificationEmailTemplate": of(TemplateName="welcome", TemplateSubject="Other"),
    "UpdateReceiptRule": Example({**A_RULE, "Rule.Enabled": "true"}),
    "UpdateTemplate": Example({**TEMPLATE, "Template.TextPart": "Hi {{name}}"}),
    "VerifyDomainDkim": Example({"Domain": DOMAIN}, fresh="[a-z2-7]{32}"),
    "VerifyDomainIdentity": of(Domain=DOMAIN),
    "VerifyEmailAddress": of(repeats=True, EmailAddress=ADDRESS),
    "VerifyEmailIdentity": of(repeats=True, EmailAddress=ADDRESS),
}
