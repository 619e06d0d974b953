import type { ResourceDefinition } from './resource.ts';
import { route } from './route.ts';
import { secret } from './secret.ts';

/** Every kind of configuration object. The only list of them. */
export const resources: readonly ResourceDefinition[] = [route, secret];
