import { createHash } from 'node:crypto';

/**
 * Names of tools, made acceptable to OpenAI and turned back in the answer. Anthropic's clients use longer names than the
 * 64 letters, digits, `_` and `-` that OpenAI takes: those of MCP servers, for instance.
 * https://platform.openai.com/docs/api-reference/chat/create#chat-create-tools
 */
export class ToolNames {
  readonly #originals = new Map<string, string>();

  /** @returns The name itself if it is acceptable, else 55 of its characters, `_` and 8 hex digits of its SHA-256. */
  toOpenai(name: string): string {
    if (/^[A-Za-z0-9_-]{1,64}$/.test(name)) return name;
    const digest = createHash('sha256').update(name).digest('hex');
    const sent = `${name.replaceAll(/[^A-Za-z0-9_-]/g, '_').slice(0, 55)}_${digest.slice(0, 8)}`;
    this.#originals.set(sent, name);
    return sent;
  }

  /** @returns The client's name of what the model called. */
  toClient(name: string): string {
    return this.#originals.get(name) ?? name;
  }
}
