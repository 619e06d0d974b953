import { readFileSync } from 'node:fs';
import { DocumentError, hasEndLine, parseDocumentText, substituteInText } from '../../config/store/standalone-text.ts';
import { CommandError } from '../command-error.ts';
import { type Reading, readLists } from './reading.ts';

/**
 * Reads a file in the form of conf/apisix.yaml or apisix.json, with the variables that it names in their place. Which of the two
 * it is, its first character and its last line tell.
 *
 * @throws CommandError
 */
export function readDocumentFile(file: string): Reading {
  const text = readText(file);
  const isWhole = hasEndLine(text);
  const format = text.trimStart().startsWith('{') && !isWhole ? 'json' : 'yaml';
  try {
    if (format === 'yaml' && !isWhole) {
      throw new DocumentError('it does not end with a line #END, so it may not be whole');
    }
    return readLists(parseDocumentText(substituteInText(text, process.env), format));
  } catch (error) {
    if (error instanceof DocumentError) throw new CommandError(`${file}: ${error.message}`, { cause: error });
    throw error;
  }
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new CommandError(`${file} cannot be read: ${reason}`, { cause: error });
  }
}
