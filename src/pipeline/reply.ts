import type { ErrorCode, WeirError } from '../base/errors.ts';

/** An answer that the gateway itself gives. */
export interface Reply {
  readonly status: number;
  /** name, value, name, value, … without framing fields. */
  readonly fields: readonly string[];
  readonly body: Buffer | string;
}

const json = ['Content-Type', 'application/json'];
const text = ['Content-Type', 'text/plain; charset=utf-8'];

/** A JSON answer, ended by a newline as APISIX does. */
export function jsonReply(status: number, value: unknown): Reply {
  return { status, fields: json, body: `${JSON.stringify(value)}\n` };
}

/** A plain text answer, without a newline at its end. */
export function textReply(status: number, body: string): Reply {
  return { status, fields: text, body };
}

/** Notes the error for the logs and makes the client's answer of it. */
export function refusal(ctx: { errorCode: ErrorCode | null }, error: WeirError): Reply {
  ctx.errorCode = error.code;
  return errorReply(error);
}

/** How an error looks to a client when no LLM protocol renders it: the shape stands in the table of errors. */
function errorReply(error: WeirError): Reply {
  switch (error.shape) {
    case 'text':
      return textReply(error.status, error.message);
    case 'message':
      return jsonReply(error.status, { message: error.message });
    case 'error_msg':
      return jsonReply(error.status, { error_msg: error.message });
    case 'none':
      return { status: error.status, fields: [], body: '' };
  }
}
