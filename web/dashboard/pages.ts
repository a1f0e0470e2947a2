// The pages, in the order of the menu. Each is loaded when it is first looked at.
import type { ComponentType } from 'preact'

export interface Page {
  /** Below /app. */
  path: string
  title: string
  load: () => Promise<ComponentType>
  /** Whether it is about the days that the reader chooses. */
  hasDays?: boolean
}

export const PAGES: readonly Page[] = [
  { path: '', title: 'Now', load: async () => (await import('./pages/now.tsx')).Now, hasDays: true },
  { path: 'journeys', title: 'Journeys', load: async () => (await import('./pages/journeys.tsx')).Journeys, hasDays: true },
  { path: 'funnels', title: 'Funnels', load: async () => (await import('./pages/funnels.tsx')).Funnels, hasDays: true },
  { path: 'retention', title: 'Retention', load: async () => (await import('./pages/retention.tsx')).Retention, hasDays: true },
  { path: 'struggles', title: 'Struggles', load: async () => (await import('./pages/struggles.tsx')).Struggles, hasDays: true },
  { path: 'insights', title: 'Insights', load: async () => (await import('./pages/insights.tsx')).Insights, hasDays: true },
  { path: 'customers', title: 'Customers', load: async () => (await import('./pages/customers.tsx')).Customers },
  { path: 'experiments', title: 'Experiments', load: async () => (await import('./pages/experiments.tsx')).Experiments },
  { path: 'help', title: 'Help', load: async () => (await import('./pages/help.tsx')).Help, hasDays: true },
  { path: 'videos', title: 'Videos', load: async () => (await import('./pages/videos.tsx')).Videos, hasDays: true },
  { path: 'model', title: 'Model', load: async () => (await import('./pages/model.tsx')).Model, hasDays: true },
  { path: 'pipeline', title: 'Pipeline', load: async () => (await import('./pages/pipeline.tsx')).Pipeline },
]
