import type { WeirError } from '../../base/errors.ts';
import { awsExceptionPrefix, encodeAwsEvent } from '../framing/aws-event-stream.ts';
import type { StreamEvent } from '../framing/stream-event.ts';
import type { RenderedError } from './protocol.ts';

/**
 * `{"__type","message"}`. Amazon's own services name the type in the field `x-amzn-errortype`; its clients read the member
 * `__type` as well. https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html#operation-error-serialization
 */
export function renderBedrockError(error: WeirError): RenderedError {
  const type = exceptionOf(error, 'ServiceUnavailableException');
  return { contentType: 'application/json', body: JSON.stringify({ __type: type, message: error.message }) };
}

/**
 * An exception frame, of a type that ConverseStream knows: Amazon's clients raise it as an error.
 * https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStreamOutput.html
 */
export function renderBedrockErrorEvent(error: WeirError): Buffer {
  const type = exceptionOf(error, 'ModelStreamErrorException');
  return encodeAwsEvent({
    headers: {
      ':exception-type': type.charAt(0).toLowerCase() + type.slice(1),
      ':content-type': 'application/json',
      ':message-type': 'exception',
    },
    payload: JSON.stringify({ message: error.message }),
  });
}

export function isBedrockException(event: StreamEvent): boolean {
  return event.event.startsWith(awsExceptionPrefix);
}

function exceptionOf(error: WeirError, ofUpstream: string): string {
  if (error.status === 503) return 'ServiceUnavailableException';
  if (error.blame === 'upstream') return ofUpstream;
  return error.blame === 'client' ? 'ValidationException' : 'InternalServerException';
}
