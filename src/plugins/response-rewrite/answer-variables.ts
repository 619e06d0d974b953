import type { RequestContext } from '../../pipeline/context.ts';
import { resolveLogVariable } from '../../pipeline/variables.ts';
import type { VariableGetter } from '../../router/variables.ts';

/** Variables that are known once there is an answer, such as `status`, for conditions. */
export function findLogVariable(name: string): VariableGetter | null {
  const read = resolveLogVariable(name);
  // Conditions of plugins are only asked about requests that are being served.
  return read === null ? null : (request) => read(request as RequestContext);
}
