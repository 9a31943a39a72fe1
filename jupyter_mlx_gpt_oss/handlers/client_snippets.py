"""How to connect each client: texts to copy, for the status page and docs/clients.md, which a test keeps equal."""

from dataclasses import dataclass, replace

EXAMPLE_BASE_URL = "http://127.0.0.1:8888/gpt-oss/v1"
KEY_PLACEHOLDER = "YOUR_KEY"


@dataclass(frozen=True, slots=True)
class ClientSnippet:
    """What a person copies to connect one client. `where` says in one sentence where it goes."""

    client: str
    where: str
    text: str


_EXAMPLES = (
    ClientSnippet(
        "openai",
        "In Python, after pip install openai.",
        """\
from openai import OpenAI

client = OpenAI(
    base_url="http://127.0.0.1:8888/gpt-oss/v1",
    api_key="YOUR_KEY",
)
answer = client.chat.completions.create(
    model="gpt-oss-20b",
    messages=[{"role": "user", "content": "Hello"}],
)
print(answer.choices[0].message.content)
""",
    ),
    ClientSnippet(
        "curl, and programs that read the environment",
        "In a shell. Most clients of OpenAI's API read the two variables.",
        """\
export OPENAI_BASE_URL="http://127.0.0.1:8888/gpt-oss/v1"
export OPENAI_API_KEY="YOUR_KEY"

curl "$OPENAI_BASE_URL/chat/completions" \\
  -H "Authorization: Bearer $OPENAI_API_KEY" -H "Content-Type: application/json" \\
  -d '{"model": "gpt-oss-20b", "messages": [{"role": "user", "content": "Hello"}]}'
""",
    ),
    ClientSnippet(
        "OpenAI Agents SDK",
        "In Python, after pip install openai-agents. In a notebook: await Runner.run(…).",
        """\
from agents import Agent, OpenAIResponsesModel, Runner, set_tracing_disabled
from openai import AsyncOpenAI

set_tracing_disabled(True)  # it would send traces to OpenAI
client = AsyncOpenAI(
    base_url="http://127.0.0.1:8888/gpt-oss/v1",
    api_key="YOUR_KEY",
)
agent = Agent(
    name="Assistant",
    instructions="Be brief.",
    model=OpenAIResponsesModel(model="gpt-oss-20b", openai_client=client),
)
print(Runner.run_sync(agent, "Hello").final_output)
""",
    ),
    ClientSnippet(
        "Codex CLI",
        "In ~/.codex/config.toml; then put the key into the variable GPT_OSS_KEY of the shell, and run codex.",
        """\
model = "gpt-oss-20b"
model_provider = "jupyter"
model_context_window = 131072

[model_providers.jupyter]
name = "GPT-OSS in Jupyter"
base_url = "http://127.0.0.1:8888/gpt-oss/v1"
env_key = "GPT_OSS_KEY"
wire_api = "responses"
""",
    ),
    ClientSnippet(
        "LangChain",
        "In Python, after pip install langchain-openai.",
        """\
from langchain_openai import ChatOpenAI

model = ChatOpenAI(
    model="gpt-oss-20b",
    base_url="http://127.0.0.1:8888/gpt-oss/v1",
    api_key="YOUR_KEY",
)
print(model.invoke("Hello").content)
""",
    ),
    ClientSnippet(
        "litellm",
        "In Python, after pip install litellm.",
        """\
import litellm

answer = litellm.completion(
    model="openai/gpt-oss-20b",
    api_base="http://127.0.0.1:8888/gpt-oss/v1",
    api_key="YOUR_KEY",
    messages=[{"role": "user", "content": "Hello"}],
)
print(answer.choices[0].message.content)
""",
    ),
    ClientSnippet(
        "pydantic-ai",
        'In Python, after pip install "pydantic-ai-slim[openai]". In a notebook: await agent.run(…).',
        """\
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

provider = OpenAIProvider(
    base_url="http://127.0.0.1:8888/gpt-oss/v1",
    api_key="YOUR_KEY",
)
agent = Agent(OpenAIChatModel("gpt-oss-20b", provider=provider))
print(agent.run_sync("Hello").output)
""",
    ),
    ClientSnippet(
        "llm",
        "In extra-openai-models.yaml, in the directory of `llm logs path`; then `llm keys set gpt-oss`, "
        "and `llm -m gpt-oss Hello`.",
        """\
- model_id: gpt-oss
  model_name: gpt-oss-20b
  api_base: "http://127.0.0.1:8888/gpt-oss/v1"
  api_key_name: gpt-oss
  supports_tools: true
  supports_schema: true
""",
    ),
    ClientSnippet(
        "jupyterlite-ai: a chat panel in JupyterLab",
        "In overrides.json, in the directory settings of the application directory that `jupyter lab path` shows; "
        "after pip install jupyterlite-ai. Then restart JupyterLab.",
        """\
{
  "@jupyternaut/persona:settings-model": {
    "useSecretsManager": false,
    "defaultProvider": "gpt-oss",
    "providers": [
      {
        "id": "gpt-oss",
        "name": "GPT-OSS",
        "provider": "generic",
        "model": "gpt-oss-20b",
        "apiKey": "YOUR_KEY",
        "baseURL": "http://127.0.0.1:8888/gpt-oss/v1"
      }
    ]
  }
}
""",
    ),
    ClientSnippet(
        "jupyter-ai's %%ai",
        'In a notebook of this server, after pip install jupyter-ai-magics "langchain-openai<1". A cell then begins with '
        "%%ai openai-chat-custom:gpt-oss-20b.",
        """\
import os

os.environ["OPENAI_API_KEY"] = os.environ["JUPYTER_MLX_GPT_OSS_KEY"]
os.environ["OPENAI_API_BASE"] = os.environ["JUPYTER_MLX_GPT_OSS_URL"]
%load_ext jupyter_ai_magics
""",
    ),
)


def client_snippets(base_url: str) -> list[ClientSnippet]:
    """Return the texts for the server at `base_url`; the key is a placeholder in them."""
    return [replace(example, text=example.text.replace(EXAMPLE_BASE_URL, base_url)) for example in _EXAMPLES]
