import { isJsonObject, type JsonObject } from './json.ts';

/** What a provider counted, in tokens. 0: not reported. */
export interface Usage {
  readonly promptTokens: number;
  readonly completionTokens: number;
  readonly totalTokens: number;
  /** Part of the prompt that was read from, or written to, the provider's prompt cache. */
  readonly cacheReadInputTokens: number;
  readonly cacheCreationInputTokens: number;
  /** Part of the completion that the model thought and did not say. */
  readonly reasoningTokens: number;
}

/** Nothing was reported. */
export const noUsage: Usage = {
  promptTokens: 0,
  completionTokens: 0,
  totalTokens: 0,
  cacheReadInputTokens: 0,
  cacheCreationInputTokens: 0,
  reasoningTokens: 0,
};

/** One report of usage: normalised, and as the provider wrote it (limits by expression read that one). */
export interface UsageReport {
  readonly usage: Usage;
  readonly raw: JsonObject;
}

/** A token count in somebody else's JSON: a positive number, or 0 for whatever else stands there. */
export function tokenCount(value: unknown): number {
  return typeof value === 'number' && value > 0 && Number.isFinite(value) ? value : 0;
}

/**
 * Joins two reports of one answer: later positive numbers win, and the total is at least prompt + completion, because
 * some providers report the two in different events and a total in neither.
 */
export function mergeUsage(earlier: UsageReport | null, later: UsageReport): UsageReport {
  if (earlier === null) return later;
  const promptTokens = later.usage.promptTokens || earlier.usage.promptTokens;
  const completionTokens = later.usage.completionTokens || earlier.usage.completionTokens;
  return {
    usage: {
      promptTokens,
      completionTokens,
      totalTokens: Math.max(later.usage.totalTokens || earlier.usage.totalTokens, promptTokens + completionTokens),
      cacheReadInputTokens: later.usage.cacheReadInputTokens || earlier.usage.cacheReadInputTokens,
      cacheCreationInputTokens: later.usage.cacheCreationInputTokens || earlier.usage.cacheCreationInputTokens,
      reasoningTokens: later.usage.reasoningTokens || earlier.usage.reasoningTokens,
    },
    raw: mergeRaw(earlier.raw, later.raw),
  };
}

// Deeper members of somebody else's object are taken whole: it may be nested as deep as it likes.
const maxMergedLevels = 8;

function mergeRaw(earlier: JsonObject, later: JsonObject, level = 0): JsonObject {
  // A Map, because assigning to a key named __proto__ would do something else.
  const merged = new Map(Object.entries(earlier));
  for (const [key, value] of Object.entries(later)) {
    const known = merged.get(key);
    const bothObjects = level < maxMergedLevels && isJsonObject(known) && isJsonObject(value);
    if (bothObjects) merged.set(key, mergeRaw(known, value, level + 1));
    else if (known === undefined || (value !== null && value !== 0)) merged.set(key, value);
  }
  return Object.fromEntries(merged);
}
