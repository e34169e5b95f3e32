"""Every operation that is built, by its name on the wire: one plain table."""

from collections.abc import Awaitable, Callable
from typing import Any

from posthouse.domain.scope import Caller
from posthouse.operations import (
    account,
    addresses,
    configuration_sets,
    custom_verification,
    event_destinations,
    identities,
    identity_policies,
    mail_from,
    notifications,
    sending,
)
from posthouse.operations.context import Context

Operation = Callable[[Any, Caller, Context], Awaitable[Any]]

OPERATIONS: dict[str, Operation] = {
    "CreateConfigurationSet": configuration_sets.create_configuration_set,
    "CreateConfigurationSetEventDestination": event_destinations.create_configuration_set_event_destination,
    "CreateConfigurationSetTrackingOptions": configuration_sets.create_configuration_set_tracking_options,
    "CreateCustomVerificationEmailTemplate": custom_verification.create_custom_verification_email_template,
    "DeleteConfigurationSet": configuration_sets.delete_configuration_set,
    "DeleteConfigurationSetEventDestination": event_destinations.delete_configuration_set_event_destination,
    "DeleteConfigurationSetTrackingOptions": configuration_sets.delete_configuration_set_tracking_options,
    "DeleteCustomVerificationEmailTemplate": custom_verification.delete_custom_verification_email_template,
    "DeleteIdentity": identities.delete_identity,
    "DeleteIdentityPolicy": identity_policies.delete_identity_policy,
    "DeleteVerifiedEmailAddress": addresses.delete_verified_email_address,
    "DescribeConfigurationSet": configuration_sets.describe_configuration_set,
    "GetAccountSendingEnabled": account.get_account_sending_enabled,
    "GetCustomVerificationEmailTemplate": custom_verification.get_custom_verification_email_template,
    "GetIdentityDkimAttributes": identities.get_identity_dkim_attributes,
    "GetIdentityMailFromDomainAttributes": mail_from.get_identity_mail_from_domain_attributes,
    "GetIdentityNotificationAttributes": notifications.get_identity_notification_attributes,
    "GetIdentityPolicies": identity_policies.get_identity_policies,
    "GetIdentityVerificationAttributes": identities.get_identity_verification_attributes,
    "GetSendQuota": account.get_send_quota,
    "GetSendStatistics": account.get_send_statistics,
    "ListConfigurationSets": configuration_sets.list_configuration_sets,
    "ListCustomVerificationEmailTemplates": custom_verification.list_custom_verification_email_templates,
    "ListIdentities": identities.list_identities,
    "ListIdentityPolicies": identity_policies.list_identity_policies,
    "ListVerifiedEmailAddresses": addresses.list_verified_email_addresses,
    "SendCustomVerificationEmail": custom_verification.send_custom_verification_email,
    "PutConfigurationSetDeliveryOptions": configuration_sets.put_configuration_set_delivery_options,
    "PutIdentityPolicy": identity_policies.put_identity_policy,
    "SendEmail": sending.send_email,
    "SendRawEmail": sending.send_raw_email,
    "SetIdentityDkimEnabled": identities.set_identity_dkim_enabled,
    "SetIdentityFeedbackForwardingEnabled": notifications.set_identity_feedback_forwarding_enabled,
    "SetIdentityHeadersInNotificationsEnabled": notifications.set_identity_headers_in_notifications_enabled,
    "SetIdentityMailFromDomain": mail_from.set_identity_mail_from_domain,
    "SetIdentityNotificationTopic": notifications.set_identity_notification_topic,
    "UpdateAccountSendingEnabled": account.update_account_sending_enabled,
    "UpdateConfigurationSetEventDestination": event_destinations.update_configuration_set_event_destination,
    "UpdateConfigurationSetReputationMetricsEnabled": (
        configuration_sets.update_configuration_set_reputation_metrics_enabled
    ),
    "UpdateConfigurationSetSendingEnabled": configuration_sets.update_configuration_set_sending_enabled,
    "UpdateConfigurationSetTrackingOptions": configuration_sets.update_configuration_set_tracking_options,
    "UpdateCustomVerificationEmailTemplate": custom_verification.update_custom_verification_email_template,
    "VerifyDomainDkim": identities.verify_domain_dkim,
    "VerifyDomainIdentity": identities.verify_domain_identity,
    "VerifyEmailAddress": addresses.verify_email_address,
    "VerifyEmailIdentity": addresses.verify_email_identity,
}
