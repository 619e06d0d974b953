import { adminAddress } from './admin-endpoint.ts';
import { CommandError } from './command-error.ts';
import type { GatewayConfig } from '../config/static/gateway-config.ts';
import { clientListens } from '../config/static/role.ts';
import type { GatewayPaths } from './configuration.ts';
import { controlAddress } from './control-endpoint.ts';
import { ListenError, probeListenAddress } from './listen-probe.ts';
import { findRunningGateway } from './pid-file.ts';
import { statusAddress } from './status-endpoint.ts';

/**
 * Makes sure that no other gateway runs on this prefix and that nobody holds a port that the configuration asks for,
 * before anything of the prefix is touched. Of two starts in the same instant both may pass; the store's lock then lets
 * one of them in.
 *
 * @throws CommandError with one line that says what is in the way.
 */
export async function refuseSecondStart({ prefix, pidFile }: GatewayPaths, config: GatewayConfig): Promise<void> {
  const running = findRunningGateway(pidFile);
  const other = running && `a gateway with pid ${running.pid} runs on this prefix, \`weir stop -p ${prefix}\` ends it`;
  const listens = clientListens(config);
  try {
    for (const address of listens) await probeListenAddress(address);
    for (const address of [adminAddress(config), controlAddress(config), statusAddress(config)])
      if (address) await probeListenAddress(address);
  } catch (error) {
    if (error instanceof ListenError && other) throw new CommandError(`${error.message} (${other})`, { cause: error });
    throw error;
  }
  if (other) throw new CommandError(other);
}
