import type { PluginCatalogue } from '../../config/plugin-catalogue.ts';
import { createFieldEncryption } from '../../config/store/etcd/field-encryption.ts';
import type { DocumentItem } from '../../config/store/standalone-document.ts';

/** What a source has encrypted, and with what. */
export interface SourceEncryption {
  /** Whether fields of plugins are encrypted; private keys of certificates always are. */
  readonly encryptFields: boolean;
  readonly keyring: readonly string[];
  readonly catalogue: PluginCatalogue;
}

/** Decrypts resources on their way in. */
export interface FieldOpener {
  open(item: DocumentItem): DocumentItem;
  /** A line for each resource of which the keyring did not open everything. */
  readonly notes: readonly string[];
}

/** Decrypts what the keyring opens; the rest stays as it is, and is noted. */
export function createFieldOpener(encryption: SourceEncryption): FieldOpener {
  const notes: string[] = [];
  let unopened = 0;
  const codec = createFieldEncryption({ ...encryption, onUnopened: () => unopened++ });
  return {
    notes,
    open(item) {
      const { kind, id } = item;
      unopened = 0;
      const value = codec.decode(kind, item.value);
      const what = unopened === 1 ? 'a field looks' : `${unopened} fields look`;
      if (unopened > 0) {
        notes.push(`${kind}/${id}: ${what} encrypted with a key that the keyring does not have (--keyring)`);
      }
      return { kind, id, value };
    },
  };
}
