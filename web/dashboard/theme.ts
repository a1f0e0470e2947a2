// Light, dark, or as the system has it.
import { effect, signal } from '@preact/signals'

export const THEMES = ['system', 'light', 'dark'] as const
const KEY = 'journeymesh.theme'

export const theme = signal<string>(localStorage.getItem(KEY) ?? 'system')

effect(() => {
  document.documentElement.dataset['theme'] = theme.value
  localStorage.setItem(KEY, theme.value)
})
