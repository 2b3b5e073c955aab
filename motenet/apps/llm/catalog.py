"""Models that the providers offered on 23 November 2026. Only a list to choose from: other ids are passed through.

Ids: the lists that the official SDKs carry (anthropic 2.12.0, openai 3.54.0), console.groq.com/docs/models,
docs.x.ai/developers/models. Context lengths: platform.claude.com/docs/en/models, developers.openai.com/api/docs/models
and the two just named. `await provider.fetch_models()` asks the endpoint itself.
"""

from motenet.apps.llm.types import ModelInfo

ANTHROPIC: tuple[ModelInfo, ...] = (
    ModelInfo("claude-opus-5-5", "Claude Opus 5.5", 1_000_000),
    ModelInfo("claude-sonnet-5-5", "Claude Sonnet 5.5", 1_000_000),
    ModelInfo("claude-haiku-5-5", "Claude Haiku 5.5"),
    ModelInfo("claude-fable-5-1", "Claude Fable 5.1", 1_000_000),
    ModelInfo("claude-opus-5", "Claude Opus 5", 1_000_000),
    ModelInfo("claude-sonnet-5", "Claude Sonnet 5", 1_000_000),
    ModelInfo("claude-haiku-4-5", "Claude Haiku 4.5", 200_000),
)
OPENAI: tuple[ModelInfo, ...] = (
    ModelInfo("gpt-6.2-sol", "GPT-6.2 Sol", 1_050_000),
    ModelInfo("gpt-6.2-astra", "GPT-6.2 Astra", 1_050_000),
    ModelInfo("gpt-6-luna", "GPT-6 Luna", 1_050_000),
    ModelInfo("gpt-5.5", "GPT-5.5"),
    ModelInfo("gpt-5.4-mini", "GPT-5.4 mini"),
)
GROQ: tuple[ModelInfo, ...] = (
    ModelInfo("openai/gpt-oss-120b", "GPT-OSS 120B", 131_072),
    ModelInfo("openai/gpt-oss-20b", "GPT-OSS 20B", 131_072),
)
XAI: tuple[ModelInfo, ...] = (
    ModelInfo("grok-4.7", "Grok 4.7", 500_000),
    ModelInfo("grok-4.6", "Grok 4.6", 500_000),
    ModelInfo("grok-4.5", "Grok 4.5", 500_000),
    ModelInfo("grok-4.3", "Grok 4.3", 1_000_000),
)
"""The first of each list is the provider's default here."""
