"""Greedy continuations and rendered conversations, made by transformers: reference for test/runtime/generate.test.ts,
test/model/chat.test.ts and test/model-real/chat.test.ts.

    python test/reference/make_generation.py [path/to/SmolLM2-135M-Instruct.Q4_1.gguf]

writes, only where the model is given, test/reference/generation.json: for every model of test/reference/families twenty greedy tokens and the logits that the
last of them was chosen by (each step a pass over all tokens so far: no cache); of SmolLM2 the rendered conversations, their
ids, and up to twenty greedy tokens with the best logit at each step. And test/reference/chat-templates.json: templates in
the formats of well-known models (test/reference/chat_templates/*.jinja, written for this test from their documentation),
rendered for conversations with everything that whitespace control, filters and macros have to get right; null where the
template refuses. Versions used are written into the files.
"""

import json
import pathlib
import sys
import tempfile

import torch
import transformers
from tokenizers import Tokenizer, models
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

HERE = pathlib.Path(__file__).parent
MADE_BY = {"transformers": transformers.__version__, "torch": torch.__version__}

# ---- Rendered conversations

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": 'Weather of a "city" <now> & later',
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string", "description": "Stadt, z. B. Köln"}, "days": {"type": "integer", "default": 1.5}},
                "required": ["city"],
            },
        },
    }
]
CONVERSATIONS = {
    "one": [{"role": "user", "content": "Hello"}],
    "system": [{"role": "system", "content": "Be brief.\n"}, {"role": "user", "content": "  What is 2 + 2?  "}],
    "long": [
        {"role": "system", "content": "You are a pirate."},
        {"role": "user", "content": "Hi!\n\n{{ not a template }} {% nor this %}"},
        {"role": "assistant", "content": "Arr — 'tis \"me\" 🏴‍☠️\\n"},
        {"role": "user", "content": "<|im_end|></s>[INST]<end_of_turn> \t"},
        {"role": "assistant", "content": "<think>\nlet me see\n</think>\n\nYes."},
        {"role": "user", "content": "Thanks, grüß dich\r\nbye"},
    ],
    "answered": [{"role": "user", "content": "1"}, {"role": "assistant", "content": "2"}],
    "two users": [{"role": "user", "content": "1"}, {"role": "user", "content": "2"}],
    "empty": [{"role": "user", "content": ""}],
    "tool call": [
        {"role": "user", "content": "Weather in Köln?"},
        {"role": "assistant", "content": "", "tool_calls": [{"type": "function", "id": "abcdefghi", "function": {"name": "get_weather", "arguments": {"city": "Köln", "days": 2}}}]},
        {"role": "tool", "name": "get_weather", "tool_call_id": "abcdefghi", "content": '{"t": 7.5}'},
        {"role": "assistant", "content": "7.5 degrees."},
        {"role": "user", "content": "Warm?"},
    ],
    "reasoning": [
        {"role": "user", "content": "Why?"},
        {"role": "assistant", "content": "Because.", "reasoning_content": "\nhm\n"},
        {"role": "user", "content": "Really?"},
    ],
}
SPECIAL = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}


def chats():
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE()), **SPECIAL)
    out = []
    for file in sorted((HERE / "chat_templates").glob("*.jinja")):
        template = file.read_text(encoding="utf-8")
        for name, messages in CONVERSATIONS.items():
            for prompt in (True, False):
                for tools in (None, TOOLS):
                    try:
                        text = tokenizer.apply_chat_template(messages, chat_template=template, tools=tools, add_generation_prompt=prompt, tokenize=False)
                        case = {"text": text}
                    except Exception as error:
                        case = {"refused": f"{type(error).__name__}: {error}"}
                    out.append({"template": file.stem, "conversation": name, "addGenerationPrompt": prompt, "tools": tools is not None, **case})
    dump("chat-templates.json", {"made_by": MADE_BY, "special_tokens": SPECIAL, "tools": TOOLS, "conversations": CONVERSATIONS, "cases": out})


# ---- Greedy continuations


@torch.no_grad()
def greedy(model, ids, n, end=()):
    ids = list(ids)
    best = []
    for _ in range(n):
        logits = model(torch.tensor([ids]), use_cache=False).logits[0, -1].float()
        ids.append(int(logits.argmax()))
        best.append(float(f"{float(logits.max()):.7g}"))
        if ids[-1] in end:
            break
    return ids, best, logits


def families():
    out = {}
    for folder in sorted((HERE / "families").iterdir()):
        if not (folder / "reference.json").exists():
            continue
        reference = json.loads((folder / "reference.json").read_text())
        # Falcon's "eager" attention adds ALiBi twice.
        implementation = "sdpa" if folder.name.startswith("falcon") else "eager"
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation=implementation).eval()
        prompt = reference["token_ids"][:5]
        ids, _, logits = greedy(model, prompt, 20)
        out[folder.name] = {"prompt": prompt, "ids": ids, "logits": [float(f"{v:.7g}") for v in logits.tolist()]}
    return out


def smollm2(path):
    tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    model = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32, attn_implementation="eager").eval()
    out = []
    for name in ("one", "system", "long", "answered", "empty"):
        messages = CONVERSATIONS[name]
        text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        prompt = tokenizer(text, add_special_tokens=False)["input_ids"]
        ids, best, _ = greedy(model, prompt, 20, end=(2,))
        out.append({"messages": messages, "text": text, "prompt": prompt, "ids": ids, "best": best})
    return out


def dump(name, value):
    (HERE / name).write_text(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")


chats()
if len(sys.argv) > 1:
    dump("generation.json", {"made_by": MADE_BY, "families": families(), "smollm2": smollm2(pathlib.Path(sys.argv[1]).resolve())})
