import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ReadMetric, renderMetrics } from './exposition.ts';
import { type Buckets, metrics } from './metric-list.ts';
import { MetricsHub } from './metrics-hub.ts';
import { WorkerMetrics } from './worker-metrics.ts';

const buckets: Buckets = {
  default_buckets: [1, 10],
  llm_latency_buckets: [5],
  llm_prompt_tokens_buckets: [5],
  llm_completion_tokens_buckets: [5],
};

interface Stage {
  readonly hub: MetricsHub;
  readonly warnings: string[];
  readonly startWorker: () => { readonly metrics: WorkerMetrics; readonly end: () => void };
  readonly text: (read?: readonly ReadMetric[]) => string;
}

function stage(): Stage {
  const hub = new MetricsHub(buckets);
  const warnings: string[] = [];
  return {
    hub,
    warnings,
    startWorker() {
      const page = hub.openPage();
      const worker = new WorkerMetrics(page, { warn: (message) => warnings.push(message) });
      return { metrics: worker, end: () => hub.retirePage(page) };
    },
    text: (read = []) => renderMetrics(hub.merge(), read, { prefix: 'p_', buckets }),
  };
}

const status = (code: string): string[] => [code, 'r', '/r', '', '', '', 'n', 'ai_chat', 'm', 'm', 'upstream'];
const statusLabels =
  'route="r",matched_uri="/r",matched_host="",service="",consumer="",node="n",request_type="ai_chat",request_llm_model="m",llm_model="m",response_source="upstream"';
const common = 'route="r",service="",consumer="",node="n",request_type="ai_chat",request_llm_model="",llm_model=""';

test('counters and histograms of two workers are added up', () => {
  const { startWorker, text } = stage();
  const [one, two] = [startWorker().metrics, startWorker().metrics];
  one.counter(metrics.httpStatus, status('200')).add(2);
  two.counter(metrics.httpStatus, status('200')).add(3);
  two.counter(metrics.httpStatus, status('500')).add(1);
  const labels = ['request', 'r', '', '', 'n', 'ai_chat', '', ''];
  for (const [worker, value] of [
    [one, 1],
    [one, 2.5],
    [two, 10],
    [two, 11],
  ] as const) {
    worker.histogram(metrics.httpLatency, labels).observe(value);
  }
  const printed = text();
  assert.ok(
    printed.includes(`# TYPE p_http_status counter
p_http_status{code="200",${statusLabels}} 5
p_http_status{code="500",${statusLabels}} 1
`),
    printed,
  );
  assert.ok(
    printed.includes(`# TYPE p_http_latency histogram
p_http_latency_bucket{type="request",${common},le="1"} 1
p_http_latency_bucket{type="request",${common},le="10"} 3
p_http_latency_bucket{type="request",${common},le="+Inf"} 4
p_http_latency_sum{type="request",${common}} 24.5
p_http_latency_count{type="request",${common}} 4
`),
    printed,
  );
});

test('of a worker that ends counters stay and gauges go', () => {
  const { startWorker, text } = stage();
  const labels = ['r', 'r', '/r', '', '', '', '', 'n', 'ai_chat', '', ''];
  const [one, two] = [startWorker(), startWorker()];
  for (const { metrics: worker } of [one, two]) {
    worker.counter(metrics.llmActiveConnections, labels).add(1);
    worker.counter(metrics.httpStatus, status('200')).add(1);
  }
  assert.match(text(), /p_llm_active_connections\{.*\} 2\n/);
  one.end();
  one.end();
  assert.match(text(), /p_llm_active_connections\{.*\} 1\n/);
  assert.match(text(), /p_http_status\{code="200".*\} 2\n/);
});

test('the same labels are one series, with further labels another', () => {
  const { startWorker, text } = stage();
  const { metrics: worker } = startWorker();
  worker.counter(metrics.httpStatus, status('200')).add(1);
  worker.counter(metrics.httpStatus, status('200')).add(1);
  worker.counter(metrics.httpStatus, status('200'), ['team', 'a']).add(1);
  assert.match(text(), new RegExp(`code="200",${statusLabels}\\} 2\\n.*${statusLabels},team="a"\\} 1\\n`));
});

test('series beyond the cap come under one, and the log says so once', () => {
  const { startWorker, text, warnings } = stage();
  const { metrics: worker } = startWorker();
  for (let index = 0; index < 10_050; index++) worker.counter(metrics.httpStatus, status(String(index))).add(1);
  const lines = text()
    .split('\n')
    .filter((line) => line.startsWith('p_http_status{'));
  assert.equal(lines.length, 10_001);
  assert.match(String(lines.find((line) => line.includes('code="<other>"'))), / 50$/);
  assert.equal(warnings.length, 1);
});

test('what many workers have counted that are gone is not lost, however many series it takes', () => {
  const { startWorker, text } = stage();
  const [workers, series] = [5, 6000];
  for (let number = 0; number < workers; number++) {
    const { metrics: worker, end } = startWorker();
    for (let index = 0; index < series; index++) {
      worker.counter(metrics.httpStatus, status(`${number}-${index}`)).add(1);
    }
    end();
  }
  const lines = text()
    .split('\n')
    .filter((line) => line.startsWith('p_http_status{'));
  assert.equal(
    lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0),
    workers * series,
  );
  assert.ok(lines.length <= 20_002, String(lines.length));
});

test('a metric without samples is left out, one that is read is printed', () => {
  const { startWorker, text } = stage();
  startWorker();
  const printed = text([
    { name: 'empty', type: 'gauge', help: 'h', samples: [] },
    { name: 'up', type: 'gauge', help: 'h', samples: [{ labels: { name: 'a"b' }, value: 1 }] },
    { name: 'bare', type: 'counter', help: 'h', samples: [{ labels: {}, value: 0.5 }] },
  ]);
  assert.equal(
    printed,
    `# HELP p_up h
# TYPE p_up gauge
p_up{name="a\\"b"} 1
# HELP p_bare h
# TYPE p_bare counter
p_bare 0.5
# HELP p_http_requests_total Requests of clients
# TYPE p_http_requests_total counter
p_http_requests_total 0
`,
  );
});
