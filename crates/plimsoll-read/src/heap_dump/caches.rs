//! Caches and registries of known libraries, with the setting that bounds them.

/// Class names or how they begin, and the setting.
const KNOWN: [(&str, &str); 13] = [
    (
        "com.github.benmanes.caffeine.cache.",
        "Caffeine: Caffeine.newBuilder().maximumSize(N), or expireAfterAccess",
    ),
    ("com.google.common.cache.", "Guava: CacheBuilder.newBuilder().maximumSize(N), or expireAfterAccess"),
    (
        "org.springframework.cache.concurrent.ConcurrentMapCache",
        "Spring: ConcurrentMapCache has no bound; take CaffeineCacheManager with spring.cache.caffeine.spec=maximumSize=N",
    ),
    ("org.ehcache.", "Ehcache 3: ResourcePoolsBuilder.heap(N), withExpiry"),
    ("net.sf.ehcache.", "Ehcache 2: maxEntriesLocalHeap, timeToLiveSeconds"),
    ("org.infinispan.", "Infinispan: memory max-count, expiration max-idle"),
    ("com.hazelcast.map.", "Hazelcast: eviction (size, max-size-policy) of the map, max-idle-seconds"),
    ("org.apache.ignite.", "Ignite: setEvictionPolicyFactory, or an expiry policy"),
    ("org.cache2k.", "cache2k: entryCapacity(N), expireAfterWrite"),
    (
        "org.hibernate.query.internal.QueryInterpretationCacheStandardImpl",
        "Hibernate: hibernate.query.plan_cache_max_size, hibernate.query.in_clause_parameter_padding",
    ),
    (
        "org.hibernate.engine.query.spi.QueryPlanCache",
        "Hibernate: hibernate.query.plan_cache_max_size, hibernate.query.in_clause_parameter_padding",
    ),
    (
        "io.micrometer.core.instrument.",
        "Micrometer: MeterFilter.maximumAllowableTags, or a tag with fewer values (the route and not the URL)",
    ),
    (
        "io.prometheus.client.",
        "Prometheus client: a label with fewer values (the route and not the URL); labels are never dropped by themselves",
    ),
];

/// The setting that bounds what one of these classes belongs to; those nearest to what piles up come last.
pub(super) fn setting<'a>(classes: impl DoubleEndedIterator<Item = &'a str>) -> Option<&'static str> {
    classes.rev().find_map(|class| KNOWN.iter().find(|(known, _)| class.contains(known)).map(|(_, s)| *s))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_library_is_named() {
        let way = [
            "shop.Service",
            "org.springframework.cache.concurrent.ConcurrentMapCache",
            "java.util.concurrent.ConcurrentHashMap",
        ];
        assert!(setting(way.into_iter()).is_some_and(|s| s.starts_with("Spring")));
        let way = ["org.ehcache.core.Ehcache", "com.google.common.cache.LocalCache$Segment"];
        assert!(setting(way.into_iter()).is_some_and(|s| s.starts_with("Guava")));
        assert_eq!(setting(["shop.UrlCache", "java.util.HashMap"].into_iter()), None);
    }
}
