import { styleText } from 'node:util';

/** Where text for a person goes. */
export interface PageOptions {
  readonly write: (text: string) => void;
  readonly colour: boolean;
}

type Style = 'bold' | 'dim' | 'cyan' | 'green' | 'yellow';

const width = 92;
const indent = '  ';

/** Text for a person at a terminal: headings, paragraphs, commands, and answers that arrive word by word. */
export class Page {
  readonly #write: (text: string) => void;
  readonly #colour: boolean;
  /** Column that {@link stream} has reached; 0: at the start of a line. */
  #column = 0;

  constructor({ write, colour }: PageOptions) {
    this.#write = write;
    this.#colour = colour;
  }

  paint(style: Style, text: string): string {
    return this.#colour ? styleText(style, text, { validateStream: false }) : text;
  }

  line(text = ''): void {
    this.#write(text === '' ? '\n' : `${indent}${text}\n`);
  }

  heading(text: string): void {
    this.line();
    this.line(this.paint('bold', text));
    this.line();
  }

  /** Wrapped; a blank line follows. */
  paragraph(text: string, style?: Style): void {
    for (const line of wrap(text, width - indent.length)) this.line(style ? this.paint(style, line) : line);
    this.line();
  }

  /** A command as it would be typed; a blank line follows. */
  command(text: string): void {
    const [first = '', ...rest] = text.split('\n');
    this.line(`${this.paint('dim', '$')} ${this.paint('cyan', first)}`);
    for (const line of rest) this.line(this.paint('cyan', line));
    this.line();
  }

  /** Writes a piece of a text that is still arriving, wrapped between words. */
  stream(text: string): void {
    for (const piece of text.match(/\n|[^\S\n]*\S+/g) ?? []) {
      if (piece === '\n') this.endStream();
      else this.#streamWord(piece);
    }
  }

  /** Ends the line that {@link stream} is at. */
  endStream(): void {
    this.#write('\n');
    this.#column = 0;
  }

  /** @param piece - A word with the space before it, or the rest of a word that has been cut. */
  #streamWord(piece: string): void {
    if (/^\s/.test(piece) && this.#column + piece.length > width) this.endStream();
    const text = this.#column === 0 ? indent + piece.trimStart() : piece;
    this.#write(text);
    this.#column += text.length;
  }
}

function wrap(text: string, columns: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > columns) {
      lines.push(line);
      line = word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}
