import { changeAt } from '../config/change-at.ts';
import { encryptedFields, type PluginCatalogue } from '../config/plugin-catalogue.ts';
import type { StoredResource } from '../config/store/store.ts';
import { redact } from '../observability/redact.ts';

const hidden = '[redacted]';

/**
 * The value of a resource for those who need no key to see it. Hidden are: what plugins declare as credentials, what the names
 * of fields tell to be one, what looks like one, header lines of probes, and the queries of URLs. References to secrets
 * are hidden with them.
 */
export function redactResource({ value }: StoredResource, catalogue: PluginCatalogue): unknown {
  const { plugins } = value;
  const names = typeof plugins === 'object' && plugins !== null ? Object.keys(plugins) : [];
  let shown: unknown = value;
  for (const name of names) {
    for (const field of encryptedFields(catalogue.get(name), 'route')) {
      shown = changeAt(shown, ['plugins', name, ...field.split('.')], () => hidden);
    }
  }
  return redact(hideLines(shown));
}

/** What a name alone does not tell. */
function hideLines(value: unknown): unknown {
  if (typeof value === 'string') return value.replace(/^([a-z][a-z0-9+.-]*:\/\/[^?#]*\?)[^#]+/i, `$1${hidden}`);
  if (Array.isArray(value)) return value.map((item) => hideLines(item));
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).map(([name, item]): [string, unknown] => {
    const isLines = name === 'req_headers' && Array.isArray(item);
    return [name, isLines ? item.map((line) => String(line).replace(/:.*/s, `: ${hidden}`)) : hideLines(item)];
  });
  return Object.fromEntries(entries);
}
