/** Markdown files as text, as Bun imports them. */

declare module '*.md' {
  const text: string;
  export = text;
}
