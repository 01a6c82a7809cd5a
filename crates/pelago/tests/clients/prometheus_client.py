"""prometheus-api-client: what it finds of a counter of `shop/cart` that has stood at 3. Its argument is the address."""

import sys
from datetime import datetime, timedelta

from prometheus_api_client import PrometheusConnect

from asked import check

prometheus = PrometheusConnect(url=f"http://{sys.argv[1]}")
check("connection", prometheus.check_prometheus_connection(), True)
check("metrics", "orders_placed_total" in prometheus.all_metrics(), True)
check("labels", {"job", "instance", "currency_code"} <= set(prometheus.get_label_names()), True)
check("values", prometheus.get_label_values("currency_code"), ["EUR"])
[sample] = prometheus.get_current_metric_value("orders_placed_total", {"job": "shop/cart"})
check("value", sample["value"][1], "3")
check("label", sample["metric"]["currency_code"], "EUR")
[sample] = prometheus.custom_query("sum by (job) (orders_placed_total)")
check("sum", (sample["metric"], sample["value"][1]), ({"job": "shop/cart"}, "3"))
# The client asks in whole seconds, and the sample is younger than one.
now = datetime.now() + timedelta(seconds=5)
[series] = prometheus.get_metric_range_data(
    "orders_placed_total", start_time=now - timedelta(minutes=1), end_time=now
)
check("samples", {value for _, value in series["values"]}, {"3"})
[series] = prometheus.custom_query_range(
    "orders_placed_total * 2", start_time=now - timedelta(minutes=1), end_time=now, step="5s"
)
check("range", {value for _, value in series["values"]}, {"6"})
