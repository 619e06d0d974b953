import { WeirError } from '../base/errors.ts';
import type { RequestContext } from '../pipeline/context.ts';
import { jsonReply, refusal, type Reply } from '../pipeline/reply.ts';
import { WindowStoreError } from '../rate-limit/window-store.ts';

/** Fields of plugins that refuse requests beyond a limit. */
export const rejectionFields = {
  rejected_code: {
    type: 'integer',
    minimum: 200,
    maximum: 599,
    default: 503,
    description: 'Status of requests that are refused.',
  },
  rejected_msg: {
    type: 'string',
    minLength: 1,
    description: 'Their body becomes `{"error_msg":"..."}` with this text. Not set: they have none.',
  },
} as const;

interface LimitAnswersConf {
  readonly rejected_code: number;
  readonly rejected_msg?: string;
  readonly allow_degradation: boolean;
}

/** What a limit answers with. */
export interface LimitAnswers {
  /** The limit is used up. */
  readonly rejected: (ctx: RequestContext) => Reply;
  /**
   * Whether the request is within its limit cannot be told; undefined: then it passes (`allow_degradation`).
   *
   * @throws What is not about the store, as it is.
   */
  readonly undecided: (ctx: RequestContext, error: unknown) => Reply | undefined;
}

export function createLimitAnswers(conf: LimitAnswersConf): LimitAnswers {
  const { rejected_code: status, rejected_msg: message, allow_degradation: degrades } = conf;
  const rejection: Reply =
    message === undefined ? { status, fields: [], body: '' } : jsonReply(status, { error_msg: message });
  return {
    rejected(ctx) {
      ctx.errorCode = 'RATE_LIMITED';
      return rejection;
    },
    undecided(ctx, error) {
      const known = error instanceof WindowStoreError ? new WeirError('RATE_LIMIT_STORE', [], { cause: error }) : error;
      if (!(known instanceof WeirError)) throw known;
      return degrades ? undefined : refusal(ctx, known);
    },
  };
}
