"""What can be set of the intervention service. When and how to help is the policy's to say."""

import dataclasses

import topology
from mesh import webhook
from mesh.settings import SettingError, secret, setting


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of the intervention service."""

    policy: str = setting(
        "JOURNEYMESH_POLICY",
        "policies/default.yaml",
        "The policy's document; it is read again every second, and a new one decides without a restart.",
    )

    tenant_policies: str = setting(
        "JOURNEYMESH_TENANT_POLICIES",
        "",
        "A folder of policies for single tenants, `<tenant>.yaml`, which is read again every second too; empty: those "
        "in force stay.",
    )
    policy_experiment: str = setting(
        "JOURNEYMESH_POLICY_EXPERIMENT",
        "",
        "Id of an experiment whose arms are policies: the first is the one in force, the values of the others name "
        "files of `JOURNEYMESH_POLICY_ARMS`. Empty: policies are not compared.",
    )
    policy_arms: str = setting(
        "JOURNEYMESH_POLICY_ARMS", "", "The folder of the policies of that experiment's arms, `<value>.yaml`."
    )
    scoring_experiment: str = setting(
        "JOURNEYMESH_SCORING_EXPERIMENT",
        "",
        "Id of an experiment that judges a canary of scoring: its arms have as values versions of models. Empty: none "
        "does.",
    )
    experiments_public_key: str = setting(
        "JOURNEYMESH_EXPERIMENTS_PUBLIC_KEY",
        "",
        "What the configuration of these experiments must be signed by: 64 hexadecimal digits. Empty: it need not be "
        "signed.",
    )
    access_target: str = setting(
        "JOURNEYMESH_ACCESS_TARGET",
        topology.address("access"),
        "Where the access service is, whose audit log has the changes of the policy.",
    )
    listen: str = setting(
        "JOURNEYMESH_INTERVENTION_LISTEN", topology.address("intervention"), "Where the intervention service listens."
    )
    ledger_lifetime_seconds: int = setting(
        "JOURNEYMESH_LEDGER_LIFETIME_SECONDS", 86_400, "How long decisions can be read.", minimum=60
    )
    intervention_lifetime_seconds: int = setting(
        "JOURNEYMESH_INTERVENTION_LIFETIME_SECONDS",
        30 * 86_400,
        "How long an intervention can be read, and what a user's outcomes taught is kept after the last of them.",
        minimum=3_600,
    )
    watch_poll_seconds: float = setting(
        "JOURNEYMESH_WATCH_POLL_SECONDS",
        2.0,
        "How often one who watches looks for changes that another replica made.",
        minimum=0.05,
    )
    watch_limit: int = setting(
        "JOURNEYMESH_WATCH_LIMIT", 10_000, "How many may watch at a time in one process.", minimum=1
    )
    live_limit: int = setting(
        "JOURNEYMESH_LIVE_LIMIT",
        100,
        "How many may watch at a time in one process what happens to all users of a tenant.",
        minimum=1,
    )

    def __post_init__(self) -> None:
        """Raises `SettingError` if policies are to be compared and nothing says where they are."""
        if self.policy_experiment and not self.policy_arms:
            raise SettingError("JOURNEYMESH_POLICY_EXPERIMENT needs JOURNEYMESH_POLICY_ARMS.")
        if self.scoring_experiment and self.scoring_experiment == self.policy_experiment:
            raise SettingError("One experiment compares policies or judges a canary, not both.")


@dataclasses.dataclass(frozen=True)
class ChannelSettings:
    """By what messages leave the product. AWS' own settings (region, credentials, endpoint) are read by its client."""

    email: str = setting("JOURNEYMESH_EMAIL", "log", "By what e-mail is sent.", choices=("log", "ses"))
    email_from: str = setting("JOURNEYMESH_EMAIL_FROM", "", "With `ses`: the sender's address, which SES has verified.")
    push: str = setting("JOURNEYMESH_PUSH", "log", "By what push messages are sent.", choices=("log", "sns"))
    push_topic: str = setting(
        "JOURNEYMESH_PUSH_TOPIC_ARN",
        "",
        "With `sns`: the topic all push messages are published to; empty: each goes to the user's own endpoint.",
    )
    chat: str = setting("JOURNEYMESH_CHAT", "log", "By what chat messages are sent.", choices=("log", "webhook"))
    chat_url: str = setting("JOURNEYMESH_CHAT_URL", "", "With `webhook`: where chat messages are posted.")
    ticket: str = setting("JOURNEYMESH_TICKET", "log", "By what tickets are opened.", choices=("log", "webhook"))
    ticket_url: str = setting("JOURNEYMESH_TICKET_URL", "", "With `webhook`: where tickets are posted.")
    webhook_secret_file: str = setting(
        "JOURNEYMESH_WEBHOOK_SECRET_FILE", "", "With `webhook`: file that holds the secret posts are signed with."
    )
    channel_concurrency: int = setting(
        "JOURNEYMESH_CHANNEL_CONCURRENCY",
        8,
        "How many messages of one channel are under way at a time in one process.",
        minimum=1,
        maximum=64,
    )

    def __post_init__(self) -> None:
        """Raises `SettingError` where a setting needs another that is missing or cannot be used."""
        if self.email == "ses" and not self.email_from:
            raise SettingError("JOURNEYMESH_EMAIL=ses needs the sender's address in JOURNEYMESH_EMAIL_FROM.")
        needed = {
            f"JOURNEYMESH_{name.upper()}=webhook needs JOURNEYMESH_{name.upper()}_URL": url
            for name, url in self.webhook_urls.items()
        }
        webhook.require_usable(needed, self.webhook_secret)

    @property
    def webhook_urls(self) -> dict[str, str]:
        """The addresses of the channels that are webhooks."""
        choices = {"chat": (self.chat, self.chat_url), "ticket": (self.ticket, self.ticket_url)}
        return {name: url for name, (choice, url) in choices.items() if choice == "webhook"}

    @property
    def webhook_secret(self) -> bytes:
        """The secret as it stands in its file; empty where no file is named."""
        return (secret(self.webhook_secret_file) or "").encode()


@dataclasses.dataclass(frozen=True)
class ModelSettings:
    """Whether language models word and analyze, and what that may cost."""

    language_model: str = setting(
        "JOURNEYMESH_LANGUAGE_MODEL", "off", "Which language models word and analyze.", choices=("off", "bedrock")
    )
    bedrock_region: str = setting("JOURNEYMESH_BEDROCK_REGION", "us-east-1", "The region Bedrock is asked in.")
    bedrock_endpoint: str = setting(
        "JOURNEYMESH_BEDROCK_ENDPOINT", "", "Where Bedrock answers; empty: at the region's own endpoint."
    )
    bedrock_geography: str = setting(
        "JOURNEYMESH_BEDROCK_GEOGRAPHY",
        "",
        "The inference profiles models are asked by; empty: the models of the region itself.",
        choices=("", "us", "eu", "apac"),
    )
    tenant: str = setting("JOURNEYMESH_TENANT", "default", "The name of the default tenant's budget for models.")
    daily_tokens: int = setting(
        "JOURNEYMESH_MODEL_DAILY_TOKENS",
        5_000_000,
        "Tokens a tenant's models may ask and answer in a UTC day; 0: no limit.",
        minimum=0,
    )
    daily_usd: float = setting(
        "JOURNEYMESH_MODEL_DAILY_USD",
        1.0,
        "US dollars a tenant's models may cost in a UTC day; 0: no limit.",
        minimum=0,
    )
    prices_file: str = setting(
        "JOURNEYMESH_PRICES_FILE",
        "",
        "A JSON file whose `models` says which other language models may be compared, and what they cost.",
    )
    wording_seconds: float = setting(
        "JOURNEYMESH_WORDING_SECONDS",
        5.0,
        "How long after an intervention a model's words for it are still taken.",
        minimum=0.1,
        maximum=30,
    )
    analysis_seconds: float = setting(
        "JOURNEYMESH_ANALYSIS_SECONDS",
        20.0,
        "How long a model may take to analyze a user, with all it looks up.",
        minimum=0.1,
        maximum=30,
    )
    scoring_target: str = setting(
        "JOURNEYMESH_SCORING_TARGET", topology.address("scoring"), "Where scoring is reached."
    )
    video_target: str = setting("JOURNEYMESH_VIDEO_TARGET", topology.address("video"), "Where video is reached.")
    customers_target: str = setting(
        "JOURNEYMESH_CUSTOMERS_TARGET", topology.address("customers"), "Where the customers service is."
    )
    experiment: str = setting(
        "JOURNEYMESH_MODEL_EXPERIMENT",
        "",
        "Id of an experiment whose arms have as values the models that write generated copy; each tenant has its own "
        "experiment of this id, or none. Empty: models are not compared.",
    )
    prompts: str = setting(
        "JOURNEYMESH_PROMPTS",
        "",
        "A folder of prompts that models write generated copy by, `<name>.yaml`; a new one is used without a restart. "
        "Empty: only the built-in one.",
    )
    prompt: str = setting(
        "JOURNEYMESH_PROMPT", "", "The name of the prompt in force, out of that folder; empty: the built-in one."
    )
    prompt_experiment: str = setting(
        "JOURNEYMESH_PROMPT_EXPERIMENT",
        "",
        "Id of an experiment whose arms have as values names of prompts, empty for the one in force; each tenant has "
        "its own experiment of this id, or none. Empty: prompts are not compared.",
    )
    experiments_target: str = setting(
        "JOURNEYMESH_EXPERIMENTS_TARGET", topology.address("experiments"), "Where the experiments service is."
    )

    def __post_init__(self) -> None:
        """Raises `SettingError` where a setting needs another that is missing, or one experiment has two subjects."""
        if self.prompt and not self.prompts:
            raise SettingError("JOURNEYMESH_PROMPT needs JOURNEYMESH_PROMPTS.")
        if self.prompt_experiment and not self.prompts:
            raise SettingError("JOURNEYMESH_PROMPT_EXPERIMENT needs JOURNEYMESH_PROMPTS.")
        if self.prompt_experiment and self.prompt_experiment == self.experiment:
            raise SettingError("One experiment compares models or prompts, not both.")
