import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { secretManagerKinds } from '../src/secret-manager/index.ts';
import { readSecret, type SecretManager } from '../src/secret-manager/secret-manager.ts';
import { startVaultServer, vaultProgram, type VaultServer } from './support/vault-server.ts';

const skip = vaultProgram === null ? 'no Vault server: neither WEIR_TEST_VAULT nor bao or vault on the PATH' : false;

function managerOf(server: VaultServer, prefix: string, more: object = {}): SecretManager {
  return secretManagerKinds.vault.create({ uri: server.url, prefix, token: server.rootToken, ...more });
}

describe('a real Vault server', { skip }, () => {
  it('gives secrets of KV version 1 and 2, and tells what it refuses', async () => {
    await using server = await startVaultServer(vaultProgram ?? '');

    await server.call('POST', 'sys/mounts/apisix', { type: 'kv', options: { version: '1' } });
    await server.call('POST', 'apisix/team/jack', { 'auth-key': 'välue 1', port: 6379 });
    const version1 = managerOf(server, 'apisix');
    assert.equal(await readSecret(version1, 'team/jack', 'auth-key'), 'välue 1');
    assert.equal(await readSecret(version1, 'team/jack', 'port'), '6379');
    await assert.rejects(readSecret(version1, 'team/jack', 'none'), { message: 'key "none" is not in the secret' });
    const missing = { message: 'vault answered 404: there is no such secret' };
    await assert.rejects(readSecret(version1, 'team/jill', 'auth-key'), missing);

    // `vault server -dev` mounts version 2 at secret/.
    await server.call('POST', 'secret/data/jack & jill', { data: { 'auth-key': 'old' } });
    await server.call('POST', 'secret/data/jack & jill', { data: { 'auth-key': 'value 2' } });
    const version2 = managerOf(server, 'secret/data');
    assert.equal(await readSecret(version2, 'jack & jill', 'auth-key'), 'value 2');
    await server.call('DELETE', 'secret/data/jack & jill');
    await assert.rejects(readSecret(version2, 'jack & jill', 'auth-key'), missing);

    const stranger = managerOf(server, 'apisix', { token: 'wrong' });
    await assert.rejects(readSecret(stranger, 'team/jack', 'auth-key'), { message: 'vault answered 403' });
  });

  it('keeps the secrets of a namespace apart', async (test) => {
    await using server = await startVaultServer(vaultProgram ?? '');
    const isAvailable = await server.call('POST', 'sys/namespaces/team').then(
      () => true,
      () => false,
    );
    if (!isAvailable) return test.skip('this server has no namespaces (Vault without Enterprise)');

    const namespace = { 'x-vault-namespace': 'team' };
    await server.call('POST', 'sys/mounts/kv', { type: 'kv' }, namespace);
    await server.call('POST', 'kv/jack', { 'auth-key': 'of the team' }, namespace);
    assert.equal(await readSecret(managerOf(server, 'kv', { namespace: 'team' }), 'jack', 'auth-key'), 'of the team');
    await assert.rejects(readSecret(managerOf(server, 'kv'), 'jack', 'auth-key'), {
      message: /^vault answered 40[34]/,
    });
  });
});
