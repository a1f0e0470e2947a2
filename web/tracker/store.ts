/** The events that nobody has confirmed yet, in order of their ids; shared by all tabs of an origin. */
export interface Store {
  /** Resolves once the events will survive the page. */
  put(events: readonly Stored[]): Promise<void>
  /** As `put`, but done when it returns: the page may be gone in a moment. */
  keep(events: readonly Stored[]): void
  /** The oldest events. */
  oldest(count: number): Promise<Stored[]>
  drop(ids: readonly string[]): Promise<void>
}

/** An event's id, and the event as JSON. */
export interface Stored {
  id: string
  json: string
}

const NAME = 'journeymesh'
const OPENING_MS = 10_000

/** IndexedDB; where a page may not use it or it is full, localStorage; else memory. */
export async function openStore(): Promise<Store> {
  const second = simple()
  try {
    const first = indexed(await opened())
    /** What is over, but could not be removed. */
    const over = new Set<string>()
    return {
      put: (events) => first.put(events).catch(() => second.keep(events)),
      keep: second.keep,
      oldest: async (count) => {
        const kept = await second.oldest(count)
        const twice = new Set(kept.map(({ id }) => id))
        const stored = await first.oldest(count + over.size + twice.size).catch(() => [])
        return [...kept, ...stored.filter(({ id }) => !over.has(id) && !twice.has(id))].slice(0, count)
      },
      drop: async (ids) => {
        await second.drop(ids)
        await first.drop(ids).catch(() => ids.forEach((id) => over.add(id)))
      },
    }
  } catch {
    return second
  }
}

function opened(): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    // Some browsers forget to answer.
    setTimeout(reject, OPENING_MS)
    const request = indexedDB.open(NAME, 1)
    request.onupgradeneeded = () => request.result.createObjectStore(NAME, { keyPath: 'id' })
    request.onsuccess = () => {
      // Whoever deletes it need not wait for us.
      request.result.onversionchange = () => request.result.close()
      resolve(request.result)
    }
    request.onerror = request.onblocked = () => reject(request.error)
  })
}

function indexed(database: IDBDatabase): Omit<Store, 'keep'> {
  const run = <T>(mode: IDBTransactionMode, act: (store: IDBObjectStore) => IDBRequest<T> | void): Promise<T> =>
    new Promise((resolve, reject) => {
      const transaction = database.transaction(NAME, mode)
      const request = act(transaction.objectStore(NAME))
      transaction.oncomplete = () => resolve(request?.result as T)
      transaction.onerror = transaction.onabort = () => reject(transaction.error)
    })
  let waiting: Stored[] = []
  let writing: Promise<void> | undefined
  return {
    // What comes at the same time is written together.
    put(events) {
      waiting.push(...events)
      return (writing ??= Promise.resolve().then(() => {
        const all = waiting
        waiting = []
        writing = undefined
        return run<void>('readwrite', (store) => all.forEach((event) => store.put(event)))
      }))
    },
    oldest: (count) => run('readonly', (store) => store.getAll(null, count)),
    drop: (ids) => run<void>('readwrite', (store) => ids.forEach((id) => store.delete(id))),
  }
}

/** One key per event, so that tabs do not overwrite each other's. */
function simple(): Store {
  const memory = new Map<string, string>()
  const prefix = `${NAME}.event.`
  const found = (): Stored[] => {
    const all = [...memory].map(([id, json]) => ({ id, json }))
    try {
      for (const key of Object.keys(localStorage)) {
        if (key.startsWith(prefix)) all.push({ id: key.slice(prefix.length), json: localStorage[key] as string })
      }
    } catch {}
    return all.sort((one, other) => (one.id < other.id ? -1 : 1))
  }
  const keep = (events: readonly Stored[]): void => {
    for (const { id, json } of events) {
      try {
        localStorage[prefix + id] = json
      } catch {
        memory.set(id, json)
      }
    }
  }
  return {
    put: async (events) => keep(events),
    keep,
    oldest: async (count) => found().slice(0, count),
    drop: async (ids) => {
      for (const id of ids) {
        memory.delete(id)
        try {
          localStorage.removeItem(prefix + id)
        } catch {}
      }
    },
  }
}
