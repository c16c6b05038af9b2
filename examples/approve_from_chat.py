"""A bot that shows what waits for its identity's approval, and does what a person answers.

The questions go to standard output and the answers come from standard input, a line each: put a chat in their place.
"""

import sys

import dta


def waiting(client: dta.Client) -> list[dta.Request]:
    """Every pending request that this identity may approve and has not: from a list that no node can shorten."""
    return [
        request
        for order in client.orders.list(role="party")
        if order.is_open
        for request in client.orders.requests(order.id)
        if request.status == "pending" and request.may_approve and client.identity not in request.approved
    ]


def main() -> None:
    with dta.Client(sys.argv[1]) as client:
        for request in waiting(client):
            print(f"{request.beneficiary[:12]} asks for {request.order[:12]}, digest {request.content_digest[:12]}?")
            if sys.stdin.readline().strip() == "yes":
                print(f"approved: {client.orders.approve(request).status}")


if __name__ == "__main__":
    main()
