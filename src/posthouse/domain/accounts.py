"""What an operator grants an account in a region: sandbox, limits, and whether it may send now."""

import msgspec

from posthouse.domain.quotas import SendingLimits


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of an account in a region; None stands for the configured default."""

    sending_enabled: bool = True
    """UpdateAccountSendingEnabled: the account's own switch."""
    sandbox: bool | None = None
    max_24_hour_send: float | None = None
    max_send_rate: float | None = None
    paused: bool = False
    """By the operator: SES's "Sending paused for this account"."""
    paused_why: str = ""
    """The rates it was paused for, where `reputation.pause` did it."""
    fresh_start_ms: int | None = None
    """Since when bounces and complaints count for its reputation; None: it was never paused and resumed."""

    def with_paused(self, paused: bool, now_ms: int, why: str = "") -> "Account":
        """Resumed, its reputation starts afresh: else it would be paused again for what it was paused for."""
        if paused:
            return msgspec.structs.replace(self, paused=True, paused_why=self.paused_why if self.paused else why)
        fresh_start_ms = now_ms if self.paused else self.fresh_start_ms
        return msgspec.structs.replace(self, paused=False, paused_why="", fresh_start_ms=fresh_start_ms)

    def with_sending_enabled(self, enabled: bool) -> "Account":
        return msgspec.structs.replace(self, sending_enabled=enabled)


class AccountDefaults(msgspec.Struct, frozen=True, kw_only=True):
    """What an account has that nobody set anything for."""

    sandbox: bool
    production_limits: SendingLimits
    sandbox_limits: SendingLimits


def in_sandbox(account: Account, defaults: AccountDefaults) -> bool:
    return defaults.sandbox if account.sandbox is None else account.sandbox


def limits_of(account: Account, defaults: AccountDefaults) -> SendingLimits:
    """The limits in force: the account's own, else those of its state (sandbox or production)."""
    ground = defaults.sandbox_limits if in_sandbox(account, defaults) else defaults.production_limits
    return SendingLimits(
        ground.max_24_hour_send if account.max_24_hour_send is None else account.max_24_hour_send,
        ground.max_send_rate if account.max_send_rate is None else account.max_send_rate,
    )
