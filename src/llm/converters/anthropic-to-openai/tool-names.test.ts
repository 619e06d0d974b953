import assert from 'node:assert/strict';
import { it } from 'node:test';
import { ToolNames } from './tool-names.ts';

const rows: { name: string; original: string; sent: string }[] = [
  { name: 'an acceptable name stays', original: 'get_weather-2', sent: 'get_weather-2' },
  { name: '64 characters stay', original: 'a'.repeat(64), sent: 'a'.repeat(64) },
  { name: '65 characters are cut to 55, _ and 8', original: 'a'.repeat(65), sent: `${'a'.repeat(55)}_635361c4` },
  { name: 'other characters become _', original: 'files.read/all', sent: 'files_read_all_c4acc06c' },
  { name: 'so do those beyond ASCII', original: 'wetter für', sent: 'wetter_f_r_4d52785c' },
];

for (const { name, original, sent } of rows) {
  it(`${name}, and comes back`, () => {
    const names = new ToolNames();
    assert.equal(names.toOpenai(original), sent);
    assert.equal(names.toClient(sent), original);
    assert.match(sent, /^[A-Za-z0-9_-]{1,64}$/);
  });
}

it('names that only differ in what is replaced stay apart', () => {
  const names = new ToolNames();
  assert.notEqual(names.toOpenai('a.b'), names.toOpenai('a/b'));
});

it('a name that was never sent comes back as it is', () => {
  assert.equal(new ToolNames().toClient('__proto__'), '__proto__');
});
