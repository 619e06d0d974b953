import type { Metric } from '../report/result.ts';

/** Metrics that several scenarios share. */
export const perSecond: Metric = {
  key: 'perSecond',
  label: 'requests/s',
  unit: 'per second',
  better: 'higher',
  isCapped: true,
  isCompared: true,
};
export const p50: Metric = { key: 'p50', label: 'p50', unit: 'µs', better: 'lower' };
export const p99: Metric = { key: 'p99', label: 'p99', unit: 'µs', better: 'lower' };
export const cpuPerRequest: Metric = {
  key: 'cpu',
  label: 'CPU/request',
  unit: 'µs',
  better: 'lower',
  isCompared: true,
};
export const cpuPerEvent: Metric = { key: 'cpu', label: 'CPU/event', unit: 'µs', better: 'lower', isCompared: true };
