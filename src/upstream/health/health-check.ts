import type { ClientCertificate } from '../client-certificate.ts';
import type { Origin } from '../origin.ts';
import type { Checks } from './check-schema.ts';

/** A health check as a plugin declares it: what is probed, and what its requests carry. */
export interface HealthCheck {
  /** The instance; unique among the checks of one resource. */
  readonly name: string;
  /** Where the requests of clients go. */
  readonly origin: Origin;
  readonly checks: Checks;
  /** Header fields that carry the credentials (`auth.header`), by name. They win over `req_headers`. */
  readonly headers: Readonly<Record<string, string>>;
  /** Query arguments that carry the credentials (`auth.query`), encoded: `a=1&b=2`; '' for none. */
  readonly query: string;
  /** `ssl_verify` of the plugin. */
  readonly verifyTls: boolean;
  /** What probes through TLS show. Default: nothing. */
  readonly clientCertificate?: ClientCertificate;
}
