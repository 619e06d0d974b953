import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { AwsSigV4, escapePath, type AwsCredentials } from './aws-sigv4.ts';

// Published by AWS: https://github.com/awslabs/aws-c-auth/tree/main/tests/aws-signing-test-suite/v4
const suiteCredentials: AwsCredentials = {
  accessKeyId: 'AKIDEXAMPLE',
  secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY',
};
const suiteTime = new Date('2015-08-30T12:36:00Z');
const suiteScope = { region: 'us-east-1', service: 'service' };
const host = 'example.amazonaws.com';
const unreserved = '-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const stsToken =
  'AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA==';
const vanillaSignature = '5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31';

interface Vector {
  readonly target: string;
  readonly signature: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly sessionToken?: string;
}

const vectors: Readonly<Record<string, Vector>> = {
  'get-vanilla': { target: '/', signature: vanillaSignature },
  'get-vanilla-query-order-key-case': {
    target: '/?Param2=value2&Param1=value1',
    signature: 'b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500',
  },
  'get-vanilla-query-order-encoded': {
    target: '/?Param-3=Value3&Param=Value2&%E1%88%B4=Value1',
    signature: '371d3713e185cc334048618a97f809c9ffe339c62934c032af5a0e595648fcac',
  },
  'get-vanilla-query-unreserved': {
    target: `/?${unreserved}=${unreserved}`,
    signature: '9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197',
  },
  'get-vanilla-utf8-query': {
    target: '/?ሴ=bar',
    signature: '2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04',
  },
  'get-vanilla-empty-query-key': {
    target: '/?Param1=value1',
    signature: 'a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb',
  },
  'get-unreserved': {
    target: `/${unreserved}`,
    signature: '07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f',
  },
  'get-utf8': { target: '/ሴ', signature: '8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85' },
  'get-space-normalized': {
    target: '/example space/',
    signature: '652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741',
  },
  'get-slashes-normalized': {
    target: '//example//',
    signature: '9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84',
  },
  'get-relative-relative-normalized': { target: '/example1/example2/../..', signature: vanillaSignature },
  'get-slash-dot-slash-normalized': { target: '/./', signature: vanillaSignature },
  'get-slash-pointless-dot-normalized': {
    target: '/./example',
    signature: 'ef75d96142cf21edca26f06005da7988e4f8dc83a165a80865db7089db637ec5',
  },
  'get-header-value-trim': {
    target: '/',
    headers: { 'my-header1': ' value1', 'my-header2': '"a   b   c"' },
    signature: 'acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736',
  },
  'get-vanilla-with-session-token': {
    target: '/',
    sessionToken: '6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267',
    signature: '07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8',
  },
  'post-vanilla': {
    method: 'POST',
    target: '/',
    signature: '5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b',
  },
  'post-sts-header-before': {
    method: 'POST',
    target: '/',
    sessionToken: stsToken,
    signature: '85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead',
  },
  'post-x-www-form-urlencoded': {
    method: 'POST',
    target: '/',
    headers: {
      'content-type': 'application/x-www-form-urlencoded',
      'content-length': '13',
      'x-amz-content-sha256': '9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e',
    },
    body: 'Param1=value1',
    signature: 'd3875051da38690788ef43de4db0d8f280229d82040bfac253562e56c3f20e0b',
  },
};

function signVector(vector: Vector, at = suiteTime): Readonly<Record<string, string>> {
  const { method = 'GET', target, headers = {}, body = '', sessionToken } = vector;
  const signer = new AwsSigV4({ ...suiteCredentials, sessionToken }, suiteScope);
  return signer.sign({ method, target, headers: { host, ...headers }, body: Buffer.from(body) }, at);
}

describe("AWS's published test vectors", () => {
  for (const [name, vector] of Object.entries(vectors)) {
    it(`${name} has the published signature`, () => {
      const { authorization, ...others } = signVector(vector);
      const names = ['host', 'x-amz-date', ...Object.keys(vector.headers ?? {})];
      if (vector.sessionToken !== undefined) names.push('x-amz-security-token');
      assert.equal(
        authorization,
        `AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=${names.sort().join(';')}, Signature=${vector.signature}`,
      );
      assert.deepEqual(others, {
        'x-amz-date': '20150830T123600Z',
        ...(vector.sessionToken !== undefined && { 'x-amz-security-token': vector.sessionToken }),
      });
    });
  }
});

describe('a signer', () => {
  const request = { method: 'GET', target: '/', headers: { host }, body: Buffer.alloc(0) };

  it('has another key on each day (UTC), also when the clock is set back', () => {
    const signer = new AwsSigV4(suiteCredentials, suiteScope);
    const days = ['2015-08-30T12:36:00Z', '2015-08-31T00:00:00Z', '2015-08-30T12:36:00Z'];
    const signed = days.map((day) => signer.sign(request, new Date(day))['authorization']);
    assert.match(signed[0] ?? '', new RegExp(`Signature=${vanillaSignature}$`));
    assert.equal(signed[2], signed[0]);
    assert.equal(signed[1], signVector({ target: '/', signature: '' }, new Date('2015-08-31T00:00:00Z')).authorization);
    assert.match(signed[1] ?? '', /AKIDEXAMPLE\/20150831\//);
  });

  it('covers method, path, query, host and body', () => {
    const signer = new AwsSigV4(suiteCredentials, suiteScope);
    const variants = [
      request,
      { ...request, method: 'POST' },
      { ...request, target: '/a' },
      { ...request, target: '/?a' },
      { ...request, headers: { host: 'other.amazonaws.com' } },
      { ...request, body: Buffer.from(' ') },
    ];
    const signatures = variants.map((variant) => signer.sign(variant, suiteTime)['authorization']);
    assert.equal(new Set(signatures).size, variants.length);
  });

  it('takes a query that is not escaped, or escaped wrongly, as AWS escapes it', () => {
    const one = signVector({ target: "/?q=it's%20*&bad=%zz", signature: '' });
    const other = signVector({ target: '/?bad=%25zz&q=it%27s%20%2A', signature: '' });
    assert.equal(one.authorization, other.authorization);
  });
});

describe('escapePath', () => {
  const rows: readonly [path: string, expected: string][] = [
    ['/model/anthropic.claude-v2:1/converse', '/model/anthropic.claude-v2%3A1/converse'],
    ['/model/anthropic.claude-v2%3A1/converse', '/model/anthropic.claude-v2%3A1/converse'],
    ['/model/arn%3Aaws%2Fx/converse', '/model/arn%3Aaws%2Fx/converse'],
    ["/it's (a) test*!", '/it%27s%20%28a%29%20test%2A%21'],
    ['/100%/é/%c3%a9', '/100%25/%C3%A9/%C3%A9'],
    ['/lone\ud800', '/lone%EF%BF%BD'],
    ['/', '/'],
  ];
  for (const [path, expected] of rows) {
    it(`makes ${expected} of ${JSON.stringify(path)}`, () => assert.equal(escapePath(path), expected));
  }
});
