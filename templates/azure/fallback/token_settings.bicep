        { name: 'COLDPRESS_FALLBACK_TOKEN', value: fallbackToken }
