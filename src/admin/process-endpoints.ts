import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { ControlEndpoint } from './control-server.ts';

/**
 * `POST /v1/gc` collects the garbage of the main thread, `PUT /v1/plugins/reload` reads config.yaml anew.
 *
 * @param reload - What is wrong with the new configuration goes to the log.
 */
export function createProcessEndpoints(reload: () => Promise<void>): readonly ControlEndpoint[] {
  return [
    {
      method: 'POST',
      url: '/v1/gc',
      answer() {
        collectGarbage();
        return { status: 200 };
      },
    },
    {
      method: 'PUT',
      url: '/v1/plugins/reload',
      answer() {
        // Not waited for, as in APISIX: it may move the control API, which waits for its running requests.
        void reload();
        return { status: 200, body: 'done' };
      },
    },
  ];
}

/** V8 hands out its collector only to code that is compiled after this flag is set. */
function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  const collect: unknown = runInNewContext('gc');
  setFlagsFromString('--no-expose-gc');
  if (typeof collect === 'function') collect();
}
