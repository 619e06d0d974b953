import type { Plugin } from '../../pipeline/define-plugin.ts';
import { basicAuth } from './basic-auth.ts';
import { jwtAuth } from './jwt-auth.ts';
import { keyAuth } from './key-auth.ts';

/** The plugins that recognize a consumer by one kind of credential. */
export const authPlugins: readonly Plugin[] = [basicAuth, jwtAuth, keyAuth];
