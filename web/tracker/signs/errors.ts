import type { Core } from '../tracker.ts'

const MOST = 10
const AGAIN_MS = 1000
/** What fails longer after the last input is no consequence of it, and is nobody's trouble. */
const CAUSED_MS = 5000

/** Records uncaught errors of the page's own scripts: at most ten for each load, the same one once a second at most. */
export function watchErrors(core: Core): void {
  const seen = new Map<string, number>()
  let count = 0
  let input = -Infinity
  for (const name of ['pointerdown', 'keydown']) {
    addEventListener(name, () => (input = performance.now()), { capture: true, passive: true })
  }
  addEventListener('error', ({ error, message, filename, lineno }) => message && failed(error, message, filename, lineno))
  addEventListener('unhandledrejection', ({ reason }) => failed(reason, text((reason as Error | undefined)?.message ?? reason), '', 0))

  function failed(error: unknown, message: string, file: string, line: number): void {
    const stack = text((error as Error | undefined)?.stack ?? '')
    // Of other origins the browser tells nothing; extensions are not the page's.
    if (message === 'Script error.' || /^ResizeObserver loop/.test(message) || /-extension:\/\//.test(file + stack)) return
    const kind = text((error as Error | undefined)?.name || 'Error').slice(0, 80)
    const fingerprint = hash(kind + message.replace(/\d+/g, '0') + file + line + (stack.split('\n')[1] ?? ''))
    const now = performance.now()
    if (count >= MOST || now - (seen.get(fingerprint) ?? -Infinity) < AGAIN_MS) return
    seen.set(fingerprint, now)
    count++
    const properties = { target: `script ${fingerprint}`, errorCode: kind, message: message.slice(0, 200), file: file.split(/[?#]/)[0] || undefined, line: line || undefined }
    void core.record('error', properties, { isSystem: now - input > CAUSED_MS })
  }
}

/** Anything as a text; a page can throw what has none. */
function text(value: unknown): string {
  try {
    return String(value)
  } catch {
    return typeof value
  }
}

/** FNV-1a with 32 bits, as hexadecimal digits. */
function hash(text: string): string {
  let value = 0x811c9dc5
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193)
  return (value >>> 0).toString(16).padStart(8, '0')
}
