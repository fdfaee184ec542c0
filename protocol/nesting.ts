/** Nesting: the depth of brackets and braces outside strings in a text. */

export class Nesting {
  private readonly text: string;
  private readonly depthMax: number;
  private at = 0;
  private depth = 0;
  private inString = false;

  constructor(text: string, depthMax: number) {
    this.text = text;
    this.depthMax = depthMax;
  }

  /** Whether the text nests deeper than allowed; undefined if unknown after `most` more characters. */
  isDeeper(most = Infinity): boolean | undefined {
    const { text, depthMax } = this;
    const until = Math.min(text.length, this.at + most);
    let { at: i, depth, inString } = this;
    for (; i < until; i++) {
      const code = text.charCodeAt(i);
      if (inString) {
        if (code === 0x5c) i += 1;
        else if (code === 0x22) inString = false;
      } else if (code === 0x22) {
        inString = true;
      } else if (code === 0x5b || code === 0x7b) {
        depth += 1;
        if (depth > depthMax) return true;
      } else if (code === 0x5d || code === 0x7d) {
        depth -= 1;
      }
    }
    this.at = i;
    this.depth = depth;
    this.inString = inString;
    return i < text.length ? undefined : false;
  }
}
